//! The plugin of a host that is killed, in several versions, and in some that are none.

use std::sync::Arc;

use super::chance::Chance;
use super::site::Site;
use crate::guests::guest;

/// Versions of the guest `ledger`.
pub struct Versions(Arc<[u8]>);

impl Versions {
    /// A host's, with the first of them in place.
    pub fn first(site: &Site) -> Versions {
        let versions = Versions(guest("ledger"));
        versions.put(site, 0);
        versions
    }

    /// Replaces the plugin: mostly by another version, sometimes by something that is none.
    pub fn replace(&self, site: &Site, chance: &mut Chance) {
        if chance.percent(75) {
            return self.put(site, chance.below(12));
        }
        match chance.below(4) {
            0 => site.put("ledger.wasm", &self.0[..self.0.len() / 2]),
            1 => site.put("ledger.wasm", b"no component at all"),
            2 => site.put("ledger.toml", b"[configuration]\nverison = 1\n"),
            _ => site.put("ledger.toml", b"[configuration\n"),
        }
    }

    /// One of twelve versions, which all do the same: four configurations of three builds.
    pub fn put(&self, site: &Site, version: u64) {
        // Its failures are asked for: they are no reason not to trust it.
        let manifest =
            format!("[configuration]\nversion = {}\n[release]\nset_aside = 1_000_000\n", version / 3);
        site.put("ledger.toml", manifest.as_bytes());
        let mut build = self.0.to_vec();
        // A custom section, which changes nothing but the hash: its number, its length, its name, its content.
        build.extend_from_slice(&[0, 7, 5]);
        build.extend_from_slice(b"build");
        build.push(u8::try_from(version % 3).unwrap());
        site.put("ledger.wasm", &build);
    }
}
