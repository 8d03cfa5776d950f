//! Bar charts as SVG: panels beside each other, each with its own scale, and for ratios a line at 1.
//!
//! A thin line shows the range from the minimum to the maximum of a figure. A ratio too large for the scale
//! is drawn with full length and a gap.

use std::fmt::Write;

use super::{report::grouped, stats::Spread};

pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) bars: Vec<Bar>,
}

/// The kind of figure in a panel.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    /// A ratio to a reference, which is 1.
    Ratio,
    /// An absolute count.
    Count,
}

impl Unit {
    /// Formats a figure in few letters.
    fn text(self, figure: f64) -> String {
        match self {
            Self::Count if figure >= 100.0 => grouped(figure),
            Self::Count if figure >= 10.0 => format!("{figure:.1}"),
            Self::Ratio | Self::Count => format!("{figure:.2}"),
        }
    }
}

pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) spread: Spread,
    /// Selects riot's colour.
    pub(crate) ours: bool,
}

/// The largest ratio that is drawn to scale.
const RATIO_MAX: f64 = 2.5;

const GAP: f64 = 20.0;
/// Average width of a letter.
const LETTER_WIDTH: f64 = 6.8;
/// Room for the figure beside a bar.
const VALUE_WIDTH: f64 = 46.0;
const BAR_WIDTH: f64 = 160.0;
const ROW_HEIGHT: f64 = 18.0;
const HEAD_HEIGHT: f64 = 54.0;
const TITLE_HEIGHT: f64 = 26.0;

/// Follows the reader's light or dark colour scheme.
const STYLE: &str = "\
svg{--back:#fff;--text:#1f2328;--faint:#59636e;--line:#afb8c1;--ours:#c2410c;--theirs:#8c99a6}\
@media(prefers-color-scheme:dark){svg{\
--back:#0d1117;--text:#e6edf3;--faint:#9198a1;--line:#656c76;--ours:#fb923c;--theirs:#6e7a87}}\
text{font:12px system-ui,sans-serif;fill:var(--text);paint-order:stroke;stroke:var(--back);stroke-width:3px}\
.head{font-size:15px;font-weight:600}.note{fill:var(--faint)}\
.title{font-weight:600}.ours{fill:var(--ours)}.theirs{fill:var(--theirs)}.back{fill:var(--back)}\
.one{stroke:var(--line);stroke-dasharray:3 3}.spread{stroke:var(--text);stroke-width:1.5}\
.gap{stroke:var(--back);stroke-width:3}";

/// Draws a chart with `columns` panels in a row.
pub(crate) fn draw(head: &str, note: &str, columns: usize, panels: &[Panel]) -> String {
    let heights: Vec<f64> = panels
        .chunks(columns)
        .map(|row| {
            row.iter().map(|panel| panel.bars.len()).max().unwrap_or(0) as f64 * ROW_HEIGHT
                + TITLE_HEIGHT
                + GAP
        })
        .collect();
    let letters =
        panels.iter().flat_map(|panel| &panel.bars).map(|bar| bar.label.chars().count()).max().unwrap_or(0);
    let label_width = letters as f64 * LETTER_WIDTH + 8.0;
    let panel_width = label_width + BAR_WIDTH + VALUE_WIDTH;
    let width = GAP + columns as f64 * (panel_width + GAP);
    let height = HEAD_HEIGHT + heights.iter().sum::<f64>() + GAP / 2.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{head}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n\
         <text class=\"head\" x=\"{GAP}\" y=\"24\">{head}</text>\n\
         <text class=\"note\" x=\"{GAP}\" y=\"42\">{note}</text>\n",
        head = escaped(head),
        note = escaped(note),
    );
    let mut top = HEAD_HEIGHT;
    for (row, height) in panels.chunks(columns).zip(&heights) {
        for (column, panel) in row.iter().enumerate() {
            draw_panel(&mut svg, panel, GAP + column as f64 * (panel_width + GAP), label_width, top);
        }
        top += height;
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, panel: &Panel, left: f64, label_width: f64, top: f64) {
    let least = if panel.unit == Unit::Ratio { 1.0 } else { f64::MIN_POSITIVE };
    let greatest =
        |figure: fn(&Spread) -> f64| panel.bars.iter().map(|bar| figure(&bar.spread)).fold(least, f64::max);
    // One disturbed round must not shorten all bars.
    let greatest = greatest(|spread| spread.max).min(greatest(|spread| spread.median) * 1.3);
    let greatest = if panel.unit == Unit::Ratio { greatest.min(RATIO_MAX) } else { greatest };
    let scale = |figure: f64| (figure / greatest * BAR_WIDTH).min(BAR_WIDTH);
    let bars_left = left + label_width;
    let mut put = |line: std::fmt::Arguments<'_>| writeln!(svg, "{line}").expect("a string takes it");
    put(format_args!(
        "<text class=\"title\" x=\"{left}\" y=\"{:.1}\">{}</text>",
        top + 14.0,
        escaped(&panel.title)
    ));
    // Drawn first, so that bars and figures cover it.
    if panel.unit == Unit::Ratio {
        let (one, from) = (bars_left + scale(1.0), top + TITLE_HEIGHT - 3.0);
        let to = top + TITLE_HEIGHT + panel.bars.len() as f64 * ROW_HEIGHT - 2.0;
        put(format_args!("<path class=\"one\" d=\"M{one:.1} {from:.1}V{to:.1}\"/>"));
    }
    for (nth, bar) in panel.bars.iter().enumerate() {
        let y = top + TITLE_HEIGHT + nth as f64 * ROW_HEIGHT;
        let (class, label, text_y) =
            (if bar.ours { "ours" } else { "theirs" }, escaped(&bar.label), y + 10.0);
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{text_y:.1}\" text-anchor=\"end\">{label}</text>",
            bars_left - 6.0
        ));
        let width = scale(bar.spread.median);
        put(format_args!(
            "<rect class=\"{class}\" x=\"{bars_left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"13\"/>"
        ));
        let (from, to) = (bars_left + scale(bar.spread.min), bars_left + scale(bar.spread.max));
        if bar.spread.median > greatest {
            let (x, foot) = (bars_left + BAR_WIDTH - 16.0, y + 14.0);
            put(format_args!("<path class=\"gap\" d=\"M{x:.1} {foot:.1}l6 -15\"/>"));
        } else if to - from > 1.0 {
            let middle = y + 6.5;
            put(format_args!("<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>"));
        }
        let value_x = bars_left + scale(bar.spread.max.max(bar.spread.median)) + 5.0;
        let value = panel.unit.text(bar.spread.median);
        put(format_args!("<text x=\"{value_x:.1}\" y=\"{text_y:.1}\">{value}</text>"));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that every opened element is closed, in order.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for piece in svg.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("unclosed tag: {piece}"));
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!text.contains('&') || text.contains(';'), "{text}");
            let name = tag.trim_matches('/').split(' ').next().unwrap_or_default();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    fn bar(label: &str, median: f64, ours: bool) -> Bar {
        Bar { label: label.into(), spread: Spread { median, min: median * 0.9, max: median * 1.2 }, ours }
    }

    #[test]
    fn a_chart_is_well_formed_with_any_labels() {
        let panels: Vec<Panel> = (0..5)
            .map(|nth| Panel {
                title: format!("panel <{nth}> & \"others\""),
                unit: Unit::Ratio,
                bars: vec![bar("riot", 1.0, true), bar("a<b", 6.8, false)],
            })
            .collect();
        let svg = draw("a & b", "shorter is better", 3, &panels);
        assert_well_formed(&svg);
        assert_eq!(svg.matches("class=\"ours\"").count(), 5);
        assert!(svg.contains("panel &lt;4&gt; &amp;"));
    }

    #[test]
    fn no_range_is_drawn_beyond_the_bars() {
        let panel = Panel { title: "p".into(), unit: Unit::Ratio, bars: vec![bar("a", 10.0, false)] };
        let svg = draw("one", "", 1, &[panel]);
        assert_well_formed(&svg);
        let ends = svg.split("H").skip(1).filter_map(|end| end.split('"').next()?.parse::<f64>().ok());
        assert!(ends.into_iter().all(|end| end <= GAP + LETTER_WIDTH + 8.0 + BAR_WIDTH + 0.1), "{svg}");
    }

    #[test]
    fn a_ratio_beyond_the_scale_has_a_gap_and_others_keep_their_length() {
        let bars = vec![bar("a", 1.0, true), bar("b", 2.0, false), bar("c", 49.0, false)];
        let svg = draw("p", "", 1, &[Panel { title: "p".into(), unit: Unit::Ratio, bars }]);
        assert_well_formed(&svg);
        assert_eq!((svg.matches("class=\"gap\"").count(), svg.matches("class=\"spread\"").count()), (1, 2));
        let width = |part: f64| format!("width=\"{:.1}\" height=\"13\"", BAR_WIDTH * part);
        assert!(svg.contains(&width(1.0 / RATIO_MAX)) && svg.contains(&width(2.0 / RATIO_MAX)), "{svg}");
        assert!(svg.contains(&width(1.0)) && svg.contains(">49.00<"), "{svg}");
    }

    #[test]
    fn counts_have_no_line_at_one_and_may_be_zero() {
        let bars = vec![bar("a", 0.0, true), bar("b", 14_648.3, false), bar("c", 42.71, false)];
        let svg = draw("all", "", 1, &[Panel { title: "p".into(), unit: Unit::Count, bars }]);
        assert_well_formed(&svg);
        assert!(svg.contains(">0.00<") && svg.contains(">14 648<") && svg.contains(">42.7<"), "{svg}");
        assert!(!svg.contains("class=\"one\"") && !svg.contains("NaN"), "{svg}");
        let svg = draw(
            "none",
            "",
            1,
            &[Panel { title: "p".into(), unit: Unit::Count, bars: vec![bar("a", 0.0, true)] }],
        );
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn an_empty_chart_is_well_formed() {
        assert_well_formed(&draw("nothing", "", 2, &[]));
    }
}
