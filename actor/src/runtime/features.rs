//! Methods of features that are off. A call says by a missing argument which feature it needs, where the
//! compiler alone would say that there is no such method.
#![allow(missing_docs, reason = "nothing here can be used")]

use super::config::Config;
#[cfg(not(feature = "tokio"))]
use crate::process::SpawnOptions;

/// The feature `signals` of this crate is off.
#[cfg(not(feature = "signals"))]
pub enum NeedsTheFeatureSignals {}

/// The feature `tokio` of this crate is off.
#[cfg(not(feature = "tokio"))]
pub enum NeedsTheFeatureTokio {}

impl Config {
    #[doc(hidden)]
    #[cfg(all(unix, not(feature = "signals")))]
    pub fn stop_on_signals(self, off: NeedsTheFeatureSignals) -> Self {
        match off {}
    }

    #[doc(hidden)]
    #[cfg(not(feature = "tokio"))]
    pub fn tokio(self, off: NeedsTheFeatureTokio) -> Self {
        match off {}
    }
}

#[cfg(not(feature = "tokio"))]
impl SpawnOptions {
    #[doc(hidden)]
    pub fn tokio(self, off: NeedsTheFeatureTokio) -> Self {
        match off {}
    }
}
