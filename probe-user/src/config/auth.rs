//! `[auth]`: the keys, and who uses which.

use std::path::Path;

use toml::de::DeValue;

use super::reader::{Placed, Section};
use super::value;
use crate::keys::KeyRing;

/// `[auth]`: authenticated mode (RFC 8762, section 4.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// The keys that packets may be signed with; empty for unauthenticated mode.
    pub keys: KeyRing,
    /// The id of the one that our own packets are signed with; empty if there are none.
    pub key: String,
    /// Whether the reflector answers authenticated requests only. Otherwise it still does so towards
    /// peers that have a key.
    pub require: bool,
}

/// Which key a peer is probed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerAuth {
    /// That of [`AuthConfig::key`], if there are any.
    #[default]
    Node,
    /// None: unauthenticated.
    None,
    /// The one with this id.
    Key(String),
}

/// Whether the key file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFile {
    /// It is.
    Read,
    /// It need not be there.
    Ignored,
}

/// The keys of a config that is being read. Where the file was refused or not read, nobody knows which there are.
pub(super) struct Keys(Option<KeyRing>);

impl Keys {
    /// Checks that there is a key with this id.
    pub(super) fn check(&self, id: &str) -> Result<(), String> {
        match &self.0 {
            Some(ring) if ring.is_empty() => {
                Err(format!("there is no key `{id}`; name the file that has it in [auth] keys"))
            }
            Some(ring) if ring.place(id).is_none() => {
                let known = ring.ids().join(", ");
                Err(format!("there is no key `{id}` in the key file; it has {known}"))
            }
            _ => Ok(()),
        }
    }
}

/// Reads the section. The key file is looked for from `directory` on.
pub(super) fn read(
    mut section: Section<'_, '_>,
    directory: &Path,
    key_file: KeyFile,
) -> (AuthConfig, Keys) {
    let before = section.reader.count();
    let ring = section.optional("keys", |value| {
        let file = value::string(value, "\"keys\"")?;
        let load = || KeyRing::load(&directory.join(file)).map_err(|error| error.to_string());
        (key_file == KeyFile::Read).then(load).transpose()
    });
    let keys = match ring {
        Some(ring) => Keys(ring.value),
        None if section.reader.count() > before => Keys(None),
        None => Keys(Some(KeyRing::default())),
    };
    let key = section.optional("key", |value| {
        let id = value::string(value, "\"2026-11\"")?;
        keys.check(id).map(|()| id.to_owned())
    });
    let require = section.optional("require", value::boolean);
    let ring = keys.0.clone().unwrap_or_default();
    if let (Some(Placed { value: true, offset }), true) = (&require, keys.is_unauthenticated()) {
        section.report(*offset, "require", "needs keys; name their file in keys");
    }
    section.finish();
    let first = ring.ids().first().cloned().unwrap_or_default();
    let auth = AuthConfig {
        key: key.map_or(first, |key| key.value),
        require: require.map_or(!ring.is_empty(), |require| require.value),
        keys: ring,
    };
    (auth, keys)
}

impl Keys {
    fn is_unauthenticated(&self) -> bool {
        self.0.as_ref().is_some_and(KeyRing::is_empty)
    }
}

/// Reads the field `auth` of a peer.
pub(super) fn peer(value: &DeValue<'_>, keys: &Keys) -> Result<PeerAuth, String> {
    match value::string(value, "\"2026-11\" or \"none\"")? {
        "none" => Ok(PeerAuth::None),
        id => keys.check(id).map(|()| PeerAuth::Key(id.to_owned())),
    }
}
