//! A header that tells seconds, the same for all answers of one second.

use std::sync::Mutex;

use http::HeaderValue;

/// See the [module](self). A clone has told nothing yet.
#[derive(Debug, Default)]
pub struct Told(Mutex<Option<(i64, HeaderValue)>>);

// === impl Told ===

impl Told {
    /// What tells so many `seconds`: what was said last, or what `make` makes of them.
    pub fn or_make(&self, seconds: i64, make: impl FnOnce(i64) -> HeaderValue) -> HeaderValue {
        // Who would have to wait for it is quicker to make their own.
        let Ok(mut last) = self.0.try_lock() else {
            return make(seconds);
        };
        match &*last {
            Some((then, value)) if *then == seconds => value.clone(),
            Some(_) | None => {
                let value = make(seconds);
                *last = Some((seconds, value.clone()));
                value
            }
        }
    }
}

impl Clone for Told {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_a_second() {
        let told = Told::default();
        let mut made = 0;
        for seconds in [1, 1, 2, 2, 1] {
            let value = told.or_make(seconds, |seconds| {
                made += 1;
                HeaderValue::from(seconds)
            });
            assert_eq!(value, seconds.to_string());
        }
        assert_eq!(made, 3);
    }
}
