//! What can be sent: any value, and it comes back as its own type.
//!
//! A small value stands in the message itself: a message of a batch costs 270 instructions in all, sent and received, and
//! a box takes 55 to allocate and free. Four words instead of two made all others dearer: a ring's hop by 22.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    any::{TypeId, type_name},
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    mem::{self, ManuallyDrop, MaybeUninit},
    ptr::{self, NonNull},
};

/// A message of any type, as [`receive_any`](crate::mailbox::receive_any) hands it out.
///
/// ```
/// use riot_actor::Message;
/// let message = Message::new(42_u32);
/// assert!(message.is::<u32>());
/// let message = message.downcast::<String>().unwrap_err();   // not a string: here it is again
/// assert_eq!(message.downcast::<u32>().unwrap(), 42);
/// ```
//
// The payload comes first, because a message is moved as two words and one: what is written so is read so. With the kind in front
// the two halves of the payload were read across what had just been written, and the processor waited for that: a hop in a ring
// took 52 ns, and 41 this way. That it is dropped by value (see `MessageKind`) lets it stay in registers: 33.
#[repr(C)]
pub struct Message {
    payload: UnsafeCell<Payload>,
    /// What is in the payload.
    kind: &'static MessageKind,
    /// Whatever the value is, it may be sent, and may not be mailbox_scanned at by two threads at a time.
    _value: PhantomData<*mut ()>,
}

// SAFETY: it owns a value that is `Send`: nothing else can be put in.
unsafe impl Send for Message {}

/// Where the value is, or the box it is in.
type Payload = MaybeUninit<[usize; 2]>;

/// What has to be known of a value whose type is not.
struct MessageKind {
    /// A function, since constants cannot ask for it before Rust 1.91.
    value_type: fn() -> TypeId,
    type_name: fn() -> &'static str,
    /// Whether it counts against the bound of a mailbox.
    counts: bool,
    /// Drops the value in a payload of this kind.
    drop: unsafe fn(Payload),
}

/// The kind of a `T`, from a user (`COUNTS`) or from the runtime.
struct KindOf<T, const COUNTS: bool>(PhantomData<T>);

impl<T: 'static, const COUNTS: bool> KindOf<T, COUNTS> {
    const KIND: &'static MessageKind = &MessageKind {
        value_type: TypeId::of::<T>,
        type_name: type_name::<T>,
        counts: COUNTS,
        drop: |mut payload| {
            let payload = payload.as_mut_ptr();
            // SAFETY: whoever drops a payload of this kind says that there is a `T` in it which nobody uses from here on.
            unsafe {
                if fits::<T>() {
                    payload.cast::<T>().drop_in_place();
                } else {
                    payload.cast::<Boxed<T>>().drop_in_place();
                }
            }
        },
    };
}

/// A box whose size, if it is small, is a power of two: mimalloc takes 45 instructions to find and free one of 64 bytes,
/// and 190 for one of 48.
struct Boxed<T>(NonNull<T>);

impl<T> Boxed<T> {
    /// Small ones are rounded up.
    const LAYOUT: Layout = {
        let (size, align) = (size_of::<T>(), align_of::<T>());
        let size = if size <= 64 { size.next_power_of_two() } else { size };
        match Layout::from_size_align(size, align) {
            Ok(layout) => layout,
            Err(_) => panic!("a power of two that is not too large"),
        }
    };

    /// The memory comes first, so that the value can be made in it and is not carried there.
    #[inline]
    fn new(make: impl FnOnce() -> T) -> Self {
        // SAFETY: what does not fit into a payload, or is aligned to more than one, has a size.
        let memory = unsafe { alloc(Self::LAYOUT) };
        let Some(place) = NonNull::new(memory.cast::<T>()) else { handle_alloc_error(Self::LAYOUT) };
        let memory = Memory(place);
        // SAFETY: it is memory for a `T` at least, and nobody else's.
        unsafe { place.write(make()) };
        mem::forget(memory);
        Self(place)
    }

    fn get(&self) -> &T {
        // SAFETY: there is a `T` as long as we are.
        unsafe { self.0.as_ref() }
    }

    fn take(self) -> T {
        let place = ManuallyDrop::new(self).0;
        // SAFETY: there is a `T`, which is read once, as we are not used again; the memory came from `alloc` with this layout.
        unsafe {
            let value = place.read();
            dealloc(place.as_ptr().cast(), Self::LAYOUT);
            value
        }
    }
}

impl<T> Drop for Boxed<T> {
    fn drop(&mut self) {
        // Given back even if the destructor panics.
        let memory = Memory(self.0);
        // SAFETY: there is a `T`, and it is not used again.
        unsafe { memory.0.drop_in_place() };
    }
}

/// The memory of a box without what is in it; given back when dropped.
struct Memory<T>(NonNull<T>);

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc` with this layout, and is nobody's.
        unsafe { dealloc(self.0.as_ptr().cast(), Boxed::<T>::LAYOUT) };
    }
}

/// Whether a `T` needs no box.
const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<Payload>() && align_of::<T>() <= align_of::<Payload>()
}

impl Message {
    /// Wraps a value; one that is larger than two words is put in a box, the only allocation a message costs.
    pub fn new<T: Send + 'static>(value: T) -> Self {
        Self::of(KindOf::<T, true>::KIND, || value)
    }

    /// The same, of a value that is made where it will lie.
    #[inline]
    pub(crate) fn build<T: Send + 'static>(make: impl FnOnce() -> T) -> Self {
        Self::of(KindOf::<T, true>::KIND, make)
    }

    /// Wraps a value the runtime sends: it does not count against the bound of a mailbox.
    pub(crate) fn system<T: Send + 'static>(value: T) -> Self {
        Self::of(KindOf::<T, false>::KIND, || value)
    }

    /// The one place where a message is made: `kind` is one of `T`.
    #[inline]
    fn of<T: Send + 'static>(kind: &'static MessageKind, make: impl FnOnce() -> T) -> Self {
        let mut payload = Payload::uninit();
        // SAFETY: there is payload for a `T` if it `fits`, and for a box else.
        unsafe {
            if fits::<T>() {
                payload.as_mut_ptr().cast::<T>().write(make());
            } else {
                payload.as_mut_ptr().cast::<Boxed<T>>().write(Boxed::new(make));
            }
        }
        Self { kind, payload: UnsafeCell::new(payload), _value: PhantomData }
    }

    /// Hands it to `f`, which is not made part of the caller, in registers. A message in memory is written a word at a time
    /// and read two at once, and the processor waits for the first to be done.
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
            // SAFETY: two words are a payload, whatever is in them; it is of this kind, and nobody else has it.
            let payload = UnsafeCell::new(unsafe {
                mem::transmute::<[MaybeUninit<usize>; 2], Payload>([words.0, words.1])
            });
            f(to, Message { payload, kind, _value: PhantomData })
        }
        let message = ManuallyDrop::new(self);
        // SAFETY: the message is not used again.
        let [first, second] = unsafe { message.payload.get().cast::<[MaybeUninit<usize>; 2]>().read() };
        passed(to, message.kind, (first, second), f)
    }

    /// Whether it counts against the bound of a mailbox.
    pub(crate) fn counts(&self) -> bool {
        self.kind.counts
    }

    /// Whether it is a `T`.
    #[must_use]
    #[inline]
    pub fn is<T: 'static>(&self) -> bool {
        // Two kinds in one place are the same in all they say; one kind may be in several places.
        ptr::eq(self.kind, KindOf::<T, true>::KIND) || (self.kind.value_type)() == TypeId::of::<T>()
    }

    /// A look at the value, if it is a `T`.
    #[must_use]
    #[inline]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        if !self.is::<T>() {
            return None;
        }
        let payload = self.payload.get();
        // SAFETY: there is a `T` in the payload, or a box of one, as `of` has put it there. It is borrowed as long as we are,
        // and where it changes through a shared reference the `UnsafeCell` around it allows for that.
        Some(unsafe { if fits::<T>() { &*payload.cast::<T>() } else { (*payload.cast::<Boxed<T>>()).get() } })
    }

    /// The value, if it is a `T`.
    ///
    /// # Errors
    /// The message itself, if it is something else.
    pub fn downcast<T: 'static>(self) -> Result<T, Message> {
        if self.is::<T>() { Ok(self.take()) } else { Err(self) }
    }

    /// The value, which is a `T`: its type has been mailbox_scanned at.
    #[inline]
    pub(crate) fn take<T: 'static>(self) -> T {
        assert!(self.is::<T>(), "it was a {} a moment ago", type_name::<T>());
        let message = ManuallyDrop::new(self);
        let payload = message.payload.get();
        // SAFETY: there is a `T` in the payload, or a box of one, as `of` has put it there, and nobody drops the message, so it
        // is read once.
        unsafe {
            if fits::<T>() { payload.cast::<T>().read() } else { payload.cast::<Boxed<T>>().read().take() }
        }
    }

    /// The name of its type, for logs.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        (self.kind.type_name)()
    }
}

impl Drop for Message {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: what `of` has put into the payload is of this kind, and the message is not used again.
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

    /// A value of every way to keep it is dropped once: with the message, or by whoever took it.
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
    fn a_value_comes_back_as_it_was() {
        #[derive(Debug, PartialEq)]
        #[repr(align(64))]
        struct Aligned(u8);
        assert_eq!(Message::new(()).downcast().ok(), Some(()));
        assert_eq!(Message::new(u128::MAX).downcast().ok(), Some(u128::MAX));
        assert_eq!(Message::new(Aligned(3)).downcast().ok(), Some(Aligned(3)));
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
