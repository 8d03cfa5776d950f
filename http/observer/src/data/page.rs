//! Lists, sorted and cut to a page.

use serde_json::{Value, json};

/// The rows of a page at most; 200.
pub(crate) const MAX_ROWS: usize = 200;

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The largest come first.
    pub(crate) descends: bool,
    /// Counted from 0.
    pub(crate) number: usize,
    pub(crate) size: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { descends: true, number: 0, size: 100 }
    }
}

impl Page {
    /// Sorts a list by a key, and returns its length and the rows of this page. Equal ones keep their order.
    pub(super) fn of<T, K: Ord>(
        self,
        mut list: Vec<T>,
        key: impl Fn(&T) -> K,
        row: impl Fn(&T) -> Value,
    ) -> Value {
        list.sort_by(|one, other| {
            let ascending = key(one).cmp(&key(other));
            if self.descends { ascending.reverse() } else { ascending }
        });
        let size = self.size.min(MAX_ROWS);
        let rows: Vec<Value> =
            list.iter().skip(self.number.saturating_mul(size)).take(size).map(row).collect();
        json!({"total": list.len(), "rows": rows})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob11_a_page_is_a_part_of_the_sorted_list() {
        let list: Vec<u32> = (0..1000).rev().collect();
        let page = |descends, number, size| {
            let page = Page { descends, number, size };
            let value = page.of(list.clone(), |number| *number, |number| json!(number));
            assert_eq!(value["total"], 1000);
            let rows = value["rows"].as_array().expect("a list").clone();
            (rows.len(), rows.first().cloned().unwrap_or_default(), rows.last().cloned().unwrap_or_default())
        };
        assert_eq!(page(false, 0, 10), (10, json!(0), json!(9)));
        assert_eq!(page(true, 2, 100), (100, json!(799), json!(700)));
        assert_eq!(page(false, 0, 5_000), (200, json!(0), json!(199)));
        assert_eq!(page(false, usize::MAX, 200).0, 0);
        assert_eq!(page(false, 0, 0).0, 0);
    }
}
