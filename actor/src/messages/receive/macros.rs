//! The [`receive!`](crate::receive!) macro.

/// Takes the oldest message that one of several patterns accepts, and runs the body of that arm.
///
/// A pattern is one of a type: `Handshake { socket }`, `Add(n)`, or a name with a type, `down: Down`. A bare
/// name is a type, and accepts every message of it: `Tick`, `Down`. A variant is written with its path, such
/// as `Colour::Red`, and a constant is compared in a guard. A guard sees the value by reference. (Before a
/// guard the type must be a plain path: Rust's macros allow no more there.) `after` gives a timeout, and what
/// to do when it has passed. Messages that no pattern accepts keep their places.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{process::spawn_monitor, receive, run, send, this, Down};
///
/// struct Tick;
/// struct Add(u32);
///
/// run(async {
///     let (worker, _) = spawn_monitor(async {});
///     send(this(), Add(2));
///     send(this(), Tick);
///     let mut sum = 0;
///     loop {
///         receive! {
///             Add(n) if *n > 100 => panic!("too much: {n}"),
///             Add(n) => sum += n,
///             Tick => {},
///             down: Down if down.pid == Some(worker) => break,
///             after Duration::from_secs(5) => panic!("nothing came"),
///         }
///     }
///     assert_eq!(sum, 2);
/// });
/// ```
///
/// # Cancel safety
/// If the surrounding future is dropped while this waits, no message has been taken.
///
/// # Panics
/// Panics when run outside a process.
#[macro_export]
macro_rules! receive {
    ($($arms:tt)+) => { $crate::__receive!(@arms select_here [] $($arms)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __receive {
    // Each arm in turn becomes `(pattern) (type or _) (guard) (body)`. The first word names the selecting
    // function: without a guard, no code of a user runs while the mailbox is scanned.
    (@arms $how:ident [$($done:tt)*]) => { $crate::__receive!(@run $how [$($done)*] []) };
    (@arms $how:ident [$($done:tt)*] after $timeout:expr => $late:expr $(,)?) => {
        $crate::__receive!(@run $how [$($done)*] [($timeout) ($late)])
    };
    (
        @arms $how:ident [$($done:tt)*]
        $name:ident : $head:ident $(:: $tail:ident)* if $guard:expr => $($rest:tt)+
    ) => {
        $crate::__receive!(@body select [$($done)*] [($name) ($head $(:: $tail)*) ($guard)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $name:ident : $type:ty => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [($name) ($type) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] _ => $($rest:tt)+) => { $crate::__receive!(@untyped) };
    (@arms $how:ident [$($done:tt)*] _ if $($rest:tt)+) => { $crate::__receive!(@untyped) };
    (@untyped) => {
        ::std::compile_error!(
            "`_` names no type: an arm of `receive!` takes messages of one type, such as `Tick` or \
             `tick: Tick`, and `mailbox::receive_any` takes a message of any type"
        )
    };
    // A bare name is a type, because a misspelt one would be a pattern that binds anything.
    (@arms $how:ident [$($done:tt)*] true => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [(true) (bool) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] false => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [(false) (bool) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] true if $guard:expr => $($rest:tt)+) => {
        $crate::__receive!(@body select [$($done)*] [(true) (bool) ($guard)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] false if $guard:expr => $($rest:tt)+) => {
        $crate::__receive!(@body select [$($done)*] [(false) (bool) ($guard)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $type:ident => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [(_) ($type) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $type:ident if $guard:expr => $($rest:tt)+) => {
        $crate::__receive!(@body select [$($done)*] [(_) ($type) ($guard)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $pattern:pat => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [($pattern) (_) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $pattern:pat if $guard:expr => $($rest:tt)+) => {
        $crate::__receive!(@body select [$($done)*] [($pattern) (_) ($guard)] $($rest)+)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:block , $($rest:tt)*) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]] $($rest)*)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:block $($rest:tt)*) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]] $($rest)*)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:expr , $($rest:tt)*) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]] $($rest)*)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:expr) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]])
    };
    (
        @run $how:ident
        [$([($pattern:pat) ($type:ty) ($guard:expr) ($body:expr)])*] [$(($timeout:expr) ($late:expr))?]
    ) => {{
        #[allow(unused_mut, unused_assignments)]
        let mut chosen = 0usize;
        let received = {
            let wanted = |message: &$crate::Message| {
                #[allow(unused_mut)]
                let mut arm = 0usize;
                $(
                    arm += 1;
                    #[allow(unused_variables, unreachable_patterns)]
                    if $crate::__private::accepts(message, |value: &$type| match value {
                        $pattern if $guard => true,
                        _ => false,
                    }) {
                        chosen = arm;
                        return true;
                    }
                )*
                let _ = arm;
                false
            };
            $crate::__receive!(@wait $crate::__private::$how(wanted) $(, $timeout)?)
        };
        $crate::__receive!(@dispatch chosen received [$([($pattern) ($type) ($body)])*] [$($late)?])
    }};
    (@wait $future:expr) => { ::std::result::Result::<_, $crate::time::TimedOut>::Ok($future.await) };
    (@wait $future:expr, $timeout:expr) => { $crate::timeout($timeout, $future).await };
    // The macro adds no loop around a body, because `break` and `continue` in it must mean the loop of the
    // user.
    (@dispatch $chosen:ident $received:ident [$($arms:tt)*] [$($late:expr)?]) => {
        match $received {
            ::std::result::Result::Ok(message) => $crate::__receive!(@arm $chosen message (1usize) $($arms)*),
            #[allow(unreachable_patterns)]
            ::std::result::Result::Err(_) => $crate::__receive!(@late $($late)?),
        }
    };
    (@arm $chosen:ident $message:ident ($number:expr)) => { unreachable!("one arm is chosen") };
    (
        @arm $chosen:ident $message:ident ($number:expr)
        [($pattern:pat) ($type:ty) ($body:expr)] $($rest:tt)*
    ) => {
        if $chosen == $number {
            #[allow(unreachable_patterns)]
            match $crate::__private::take::<$type>($message) {
                $pattern => $body,
                _ => unreachable!("the pattern accepted it a moment ago"),
            }
        } else {
            $crate::__receive!(@arm $chosen $message ($number + 1usize) $($rest)*)
        }
    };
    (@late) => { unreachable!("without `after` nothing times out") };
    (@late $late:expr) => { $late };
}

#[doc(hidden)]
pub mod __private {
    pub use super::super::select::{select, select_here};
    use crate::Message;

    pub fn accepts<T: 'static>(message: &Message, test: impl FnOnce(&T) -> bool) -> bool {
        message.downcast_ref::<T>().is_some_and(test)
    }

    pub fn take<T: 'static>(message: Message) -> T {
        message.take()
    }
}
