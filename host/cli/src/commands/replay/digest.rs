//! A digest of many things whose order does not count.

/// The sum of their hashes: it needs no memory for them, and unlike with exclusive or, two that are the same count.
/// It is for comparing replays, not against somebody who wants two of them to look alike.
#[derive(Default)]
pub(super) struct AnyOrder([u64; 4]);

impl AnyOrder {
    pub(super) fn add(&mut self, thing: &[u8]) {
        let hash = blake3::hash(thing);
        for (sum, part) in self.0.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let part = part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            *sum = sum.wrapping_add(part);
        }
    }

    pub(super) fn to_hex(&self) -> String {
        self.0.iter().map(|part| format!("{part:016x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_but_how_often_does() {
        let of = |things: &[&str]| {
            let mut digest = AnyOrder::default();
            things.iter().for_each(|thing| digest.add(thing.as_bytes()));
            digest.to_hex()
        };
        assert_eq!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "a"]), of(&[]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
    }
}
