//! A table in which the least recently used entry makes room.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// A bounded table.
#[derive(Clone, Debug)]
pub(super) struct Recent<K, V> {
    capacity: usize,
    entries: HashMap<K, (u64, V)>,
    /// The keys in the order of their last use.
    order: BTreeMap<u64, K>,
    uses: u64,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// An empty table with room for this many, but at least for one.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, entries: HashMap::new(), order: BTreeMap::new(), uses: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry, without using it.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Uses an entry, which comes into being if it is not there.
    pub(super) fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        self.uses += 1;
        let is_new = !self.entries.contains_key(&key);
        if is_new
            && self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let (used, value) = self.entries.entry(key).or_insert_with(|| (0, new()));
        self.order.remove(used);
        self.order.insert(self.uses, key);
        *used = self.uses;
        value
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// Removes the entries for which this does not hold.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let order = &mut self.order;
        self.entries.retain(|_, (used, value)| {
            let stays = keep(value);
            if !stays {
                order.remove(used);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_makes_room() {
        let mut table = Recent::new(2);
        *table.get_or_insert_with("a", || 0) += 1;
        table.get_or_insert_with("b", || 0);
        *table.get_or_insert_with("a", || 0) += 1;
        table.get_or_insert_with("c", || 0);
        assert_eq!(table.len(), 2);
        assert_eq!((table.peek(&"a"), table.peek(&"b")), (Some(&2), None));
        assert_eq!(table.remove(&"a"), Some(2));
        table.get_or_insert_with("d", || 7);
        assert_eq!((table.peek(&"c"), table.peek(&"d")), (Some(&0), Some(&7)));
        table.retain(|value| *value == 7);
        assert_eq!((table.len(), table.order.len()), (1, 1));
    }
}
