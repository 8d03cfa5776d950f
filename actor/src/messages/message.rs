//! A message: a value of any type, which comes back as its own type.
//!
//! A value of up to two words stands in the message itself. A message of a batch takes 270 instructions in
//! all, sent and received, and a box takes 55 to allocate and free. Room for four words instead of two cost
//! all other messages more: a hop in a ring 22 instructions.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{
    any::{TypeId, type_name},
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    mem::{self, ManuallyDrop, MaybeUninit},
    ptr,
};

use super::boxed::Boxed;
use crate::guard::contain;

/// A message of any type, as [`receive_any`](crate::mailbox::receive_any) returns it.
///
/// A value that is dropped inside its message is dropped inside a guard: a panic in its destructor is
/// reported, and ends no process.
///
/// ```
/// use riot_actor::Message;
/// let message = Message::new(42_u32);
/// assert!(message.is::<u32>());
/// let message = message.downcast::<String>().unwrap_err();   // not a string: here it is again
/// assert_eq!(message.downcast::<u32>().unwrap(), 42);
/// ```
//
// The payload comes first, because a message is moved as two words and one: it is written and read in the
// same pieces. With the kind first, the two halves of the payload were read across what had just been
// written, and the processor waited.
// perf: ring, 52 → 41 ns; dropping by value (see `MessageKind`), which lets a message stay in registers, 41 →
// 33 ns
#[repr(C)]
pub struct Message {
    payload: UnsafeCell<Payload>,
    /// Says what is in the payload.
    kind: &'static MessageKind,
    /// The value may be sent, and must not be used by two threads at a time.
    _value: PhantomData<*mut ()>,
}

// SAFETY: a message owns a value that is `Send`, because `Message::of` accepts no other.
unsafe impl Send for Message {}

/// The value, or the box it is in.
type Payload = MaybeUninit<[usize; 2]>;

/// The description of a value whose type is erased.
pub(crate) struct MessageKind {
    pub(crate) value_type: TypeId,
    pub(crate) type_name: fn() -> &'static str,
    /// The size of the value.
    pub(crate) bytes: usize,
    /// Whether the value is in a box.
    pub(crate) boxed: bool,
    /// Whether the message counts against the capacity of a mailbox.
    counts: bool,
    /// Drops the value in a payload of this kind.
    drop: unsafe fn(Payload),
}

impl MessageKind {
    /// Returns the name of the type.
    pub(crate) fn name(&self) -> &'static str {
        (self.type_name)()
    }
}

/// The kind of a `T`, from a user (`COUNTS`) or from the runtime.
struct KindOf<T, const COUNTS: bool>(PhantomData<T>);

impl<T: 'static, const COUNTS: bool> KindOf<T, COUNTS> {
    const KIND: &'static MessageKind = &MessageKind {
        value_type: TypeId::of::<T>(),
        type_name: type_name::<T>,
        bytes: size_of::<T>(),
        boxed: !fits::<T>(),
        counts: COUNTS,
        drop: |mut payload| {
            let payload = payload.as_mut_ptr();
            // SAFETY: the caller of `drop` passes a payload of this kind, so `Message::of` has written a `T`
            // or its box there, and does not use it again.
            let drop = || unsafe {
                if fits::<T>() {
                    payload.cast::<T>().drop_in_place();
                } else {
                    payload.cast::<Boxed<T>>().drop_in_place();
                }
            };
            if mem::needs_drop::<T>() {
                let _ = contain(drop);
            } else {
                drop();
            }
        },
    };
}

/// Returns whether a `T` fits into the payload.
const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<Payload>() && align_of::<T>() <= align_of::<Payload>()
}

impl Message {
    /// Wraps a value. A value larger than two words is boxed, which is the only allocation that a message
    /// costs.
    pub fn new<T: Send + 'static>(value: T) -> Self {
        Self::of(KindOf::<T, true>::KIND, || value)
    }

    /// Wraps a value that is made where it will be stored.
    #[inline]
    pub(crate) fn build<T: Send + 'static>(make: impl FnOnce() -> T) -> Self {
        Self::of(KindOf::<T, true>::KIND, make)
    }

    /// Wraps a value that the runtime sends. It does not count against the capacity of a mailbox.
    pub(crate) fn system<T: Send + 'static>(value: T) -> Self {
        Self::of(KindOf::<T, false>::KIND, || value)
    }

    /// Makes a message; nothing else does. `kind` must be a kind of `T`.
    #[inline]
    fn of<T: Send + 'static>(kind: &'static MessageKind, make: impl FnOnce() -> T) -> Self {
        let mut payload = Payload::uninit();
        // SAFETY: the payload has the size and alignment of a `T` if it `fits`, and of a box otherwise; it is
        // written, not read.
        unsafe {
            if fits::<T>() {
                payload.as_mut_ptr().cast::<T>().write(make());
            } else {
                payload.as_mut_ptr().cast::<Boxed<T>>().write(Boxed::new(make));
            }
        }
        Self { kind, payload: UnsafeCell::new(payload), _value: PhantomData }
    }

    /// Passes the message to `f` in registers, out of line. A message in memory is written a word at a time
    /// and read two at once, and the processor waits for the first write.
    // perf: fan_in, 17.6 → 15.1 ns a message
    #[inline(always)]
    pub(crate) fn pass<A, R>(self, to: A, f: impl FnOnce(A, Message) -> R) -> R {
        type Words = (MaybeUninit<usize>, MaybeUninit<usize>);

        #[inline(never)]
        fn passed<A, R>(
            to: A,
            kind: &'static MessageKind,
            words: Words,
            f: impl FnOnce(A, Message) -> R,
        ) -> R {
            // SAFETY:
            // 1. Two words of any content are a `Payload`.
            // 2. It is of this kind, and the message it came from is not used again.
            let payload = UnsafeCell::new(unsafe {
                mem::transmute::<[MaybeUninit<usize>; 2], Payload>([words.0, words.1])
            });
            f(to, Message { payload, kind, _value: PhantomData })
        }
        let message = ManuallyDrop::new(self);
        // SAFETY: the message is borrowed by nothing else, and not used again.
        let [first, second] = unsafe { message.payload.get().cast::<[MaybeUninit<usize>; 2]>().read() };
        passed(to, message.kind, (first, second), f)
    }

    /// Returns the description of the value.
    #[inline]
    pub(crate) fn kind(&self) -> &'static MessageKind {
        self.kind
    }

    /// Returns whether the message counts against the capacity of a mailbox.
    pub(crate) fn counts(&self) -> bool {
        self.kind.counts
    }

    /// Returns whether the value is a `T`.
    #[must_use]
    #[inline]
    pub fn is<T: 'static>(&self) -> bool {
        // Equal pointers mean equal kinds. One kind may have several addresses, so the types are compared,
        // too.
        ptr::eq(self.kind, KindOf::<T, true>::KIND) || self.kind.value_type == TypeId::of::<T>()
    }

    /// Returns a reference to the value, if it is a `T`.
    #[must_use]
    #[inline]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        if !self.is::<T>() {
            return None;
        }
        let payload = self.payload.get();
        // SAFETY:
        // 1. The kind is one of `T`, so `of` has written a `T` or its box into the payload.
        // 2. The message is borrowed as long as the reference lives, so the value is neither moved nor
        // dropped.
        // 3. A value that changes through a shared reference does so inside the `UnsafeCell` around the
        // payload.
        Some(unsafe { if fits::<T>() { &*payload.cast::<T>() } else { (*payload.cast::<Boxed<T>>()).get() } })
    }

    /// Returns the value, if it is a `T`.
    ///
    /// # Errors
    /// The message itself, if it is something else.
    pub fn downcast<T: 'static>(self) -> Result<T, Message> {
        if self.is::<T>() { Ok(self.take()) } else { Err(self) }
    }

    /// Returns the value, whose type the caller has checked.
    #[inline]
    pub(crate) fn take<T: 'static>(self) -> T {
        assert!(self.is::<T>(), "it was a {} a moment ago", type_name::<T>());
        let message = ManuallyDrop::new(self);
        let payload = message.payload.get();
        // SAFETY:
        // 1. The kind is one of `T`, so `of` has written a `T` or its box into the payload.
        // 2. The message is not dropped, so the value is read once.
        unsafe {
            if fits::<T>() { payload.cast::<T>().read() } else { payload.cast::<Boxed<T>>().read().take() }
        }
    }

    /// Returns the name of the value's type, for logs.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        (self.kind.type_name)()
    }
}

impl Drop for Message {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `of` has written a payload of this kind, and the message is not used again.
        unsafe { (self.kind.drop)(self.payload.get().read()) }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({})", self.type_name())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use super::*;

    #[derive(Clone)]
    struct Counted<const N: usize>(Arc<AtomicUsize>, [u8; N]);

    impl<const N: usize> Drop for Counted<N> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checks that a value of this size is dropped once: with the message, or by the code that took it.
    fn is_dropped_once<const N: usize>() {
        let drops = Arc::new(AtomicUsize::new(0));
        let message = || Message::new(Counted(drops.clone(), [7; N]));
        drop(message());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        let message = message().downcast::<String>().unwrap_err();
        assert_eq!(message.downcast_ref::<Counted<N>>().unwrap().1, [7; N]);
        let value: Counted<N> = message.downcast().unwrap();
        assert_eq!((value.1, drops.load(Ordering::Relaxed)), ([7; N], 1));
        drop(value);
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        assert_eq!(Arc::strong_count(&drops), 1);
    }

    #[test]
    fn a_value_is_dropped_once_whether_it_fits_or_not() {
        is_dropped_once::<0>();
        is_dropped_once::<8>();
        is_dropped_once::<9>();
        is_dropped_once::<1000>();
    }

    #[test]
    fn a_zero_sized_value_of_large_alignment_is_dropped_once() {
        #[repr(align(32))]
        struct Z;
        thread_local!(static DROPS: Cell<u32> = const { Cell::new(0) });
        impl Drop for Z {
            fn drop(&mut self) {
                assert!(ptr::from_ref(self).is_aligned());
                DROPS.set(DROPS.get() + 1);
            }
        }
        drop(Message::new(Z));
        assert_eq!(DROPS.get(), 1);
        assert!(ptr::from_ref(Message::new(Z).downcast_ref::<Z>().unwrap()).is_aligned());
        drop(Message::new(Z).downcast::<Z>().unwrap());
        assert_eq!(DROPS.get(), 3);
    }

    #[test]
    fn a_value_comes_back_as_it_was() {
        #[derive(Debug, PartialEq)]
        #[repr(align(64))]
        struct Aligned(u8);
        #[derive(Debug, PartialEq)]
        #[repr(align(32))]
        struct Z;
        assert_eq!(Message::new(()).downcast().ok(), Some(()));
        assert_eq!(Message::new(u128::MAX).downcast().ok(), Some(u128::MAX));
        assert_eq!(Message::new(Aligned(3)).downcast().ok(), Some(Aligned(3)));
        assert_eq!(Message::new(Z).downcast().ok(), Some(Z));
        assert_eq!(Message::new([Z, Z]).downcast().ok(), Some([Z, Z]));
        assert_eq!(Message::new("a word").downcast().ok(), Some("a word"));
        assert_eq!(Message::system([1_u64, 2, 3]).downcast().ok(), Some([1_u64, 2, 3]));
        assert!(Message::new(1_u32).downcast::<i32>().is_err());
    }

    #[test]
    fn a_cell_can_be_written_to_where_it_is() {
        let message = Message::new(Cell::new(1));
        message.downcast_ref::<Cell<i32>>().unwrap().set(2);
        assert_eq!(message.downcast::<Cell<i32>>().unwrap().get(), 2);
    }
}
