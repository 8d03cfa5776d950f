//! Methods of features that are off. A call says by a missing argument which feature it needs, where the
//! compiler alone would say that there is no such method.
#![allow(missing_docs, reason = "nothing here can be used")]

use super::Server;

/// The feature `axum` of this crate is off.
#[cfg(not(feature = "axum"))]
pub enum NeedsTheFeatureAxum {}

/// The feature `tower` of this crate is off.
#[cfg(not(feature = "tower"))]
pub enum NeedsTheFeatureTower {}

/// The feature `tokio` of this crate is off.
#[cfg(not(feature = "tokio"))]
pub enum NeedsTheFeatureTokioOfHttp {}

/// The feature `tls` of this crate is off.
#[cfg(not(feature = "tls"))]
pub enum NeedsTheFeatureTls {}

/// The feature `hyper-upgrade` of this crate is off.
#[cfg(all(feature = "axum", not(feature = "hyper-upgrade")))]
pub enum NeedsTheFeatureHyperUpgrade {}

impl Server {
    #[doc(hidden)]
    #[cfg(not(feature = "axum"))]
    pub fn axum<R>(self, _: R, off: NeedsTheFeatureAxum) -> Self {
        match off {}
    }

    #[doc(hidden)]
    #[cfg(not(feature = "tower"))]
    pub fn tower<S>(self, _: S, off: NeedsTheFeatureTower) -> Self {
        match off {}
    }

    #[doc(hidden)]
    #[cfg(not(feature = "tokio"))]
    pub fn tokio(self, off: NeedsTheFeatureTokioOfHttp) -> Self {
        match off {}
    }

    #[doc(hidden)]
    #[cfg(not(feature = "tls"))]
    pub fn tls<T>(self, _: T, off: NeedsTheFeatureTls) -> Self {
        match off {}
    }
}

#[cfg(all(feature = "axum", not(feature = "hyper-upgrade")))]
impl super::AxumServing {
    #[doc(hidden)]
    pub fn upgrade_by_hyper(self, off: NeedsTheFeatureHyperUpgrade) -> Self {
        match off {}
    }
}
