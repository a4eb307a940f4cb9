//! One call at a time per meeting: what two simultaneous calls with one new key would make is not
//! documented (graph-api.md, section 4).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::model::{ExternalId, OrganizerId};

type Key = (OrganizerId, ExternalId);

/// The keys that are in use.
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>);

impl Keys {
    /// Waits until nobody else holds the key.
    pub(super) async fn hold(&self, organizer: &OrganizerId, external_id: &ExternalId) -> Held<'_> {
        let key = (organizer.clone(), external_id.clone());
        let lock = {
            let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = keys.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::default();
                keys.insert(key.clone(), Arc::downgrade(&lock));
                lock
            })
        };
        Held {
            keys: self,
            key,
            lock: Some(lock.lock_owned().await),
        }
    }
}

/// Holds one key until it is dropped.
pub(super) struct Held<'a> {
    keys: &'a Keys,
    key: Key,
    lock: Option<OwnedMutexGuard<()>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.lock = None;
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys
            .get(&self.key)
            .is_some_and(|lock| lock.strong_count() == 0)
        {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_held_by_one_and_forgotten_after_the_last() {
        let keys = Keys::default();
        let organizer = OrganizerId::new("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee").unwrap();
        let (a, b) = (ExternalId::stored("a"), ExternalId::stored("b"));

        let first = keys.hold(&organizer, &a).await;
        let _other = keys.hold(&organizer, &b).await;
        let mut second = std::pin::pin!(keys.hold(&organizer, &a));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(first);
        drop(second.await);
        assert_eq!(keys.0.lock().unwrap().len(), 1);
    }
}
