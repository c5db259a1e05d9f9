//! Key files: the secrets with which test packets are signed (RFC 8762, section 4.4).
//!
//! One key a line: its id, and the secret in hexadecimal, 16 to 64 octets. `#` begins a comment.
//!
//! ```text
//! # ID       SECRET
//! 2026-11    8f0c…
//! 2026-08    1b77…
//! ```
//!
//! A secret is in memory only until its [`Key`] has been computed, and then it is overwritten; so is the
//! `Key` when its ring is dropped. No error and no `Debug` output has anything of it.

use std::{
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use probe_ebpf::{hmac::Key, maps::MAX_KEYS};
use zeroize::{Zeroize as _, Zeroizing};

use crate::datapath::clock;

#[cfg(test)]
mod tests;

/// The longest id of a key.
pub const MAX_ID: usize = 32;

/// Octets of the shortest secret: as many as a tag has.
pub const MIN_SECRET: usize = 16;

/// Octets of the longest secret: a block of SHA-256.
pub const MAX_SECRET: usize = 64;

/// Octets of the secrets that [`generate`] makes, which RFC 2104, section 3, advises.
const SECRET: usize = 32;

/// Octets of the longest file. Much more than any good one has.
const MAX_FILE: usize = 64 << 10;

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the key file {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe, a device.
    #[error("the key file {0} is not a regular file")]
    NotAFile(String),
    /// Somebody else could write it.
    #[error(
        "the key file {file} belongs to user {owner}, who could change it: `chown {we} {file}`"
    )]
    Owner {
        /// The file.
        file: String,
        /// Its owner.
        owner: u32,
        /// Who we are.
        we: u32,
    },
    /// Others can read or write it.
    #[error("the key file {file} is open to others (mode {mode:04o}): `chmod 600 {file}`")]
    Mode {
        /// The file.
        file: String,
        /// Its permissions.
        mode: u32,
    },
    /// What it says is wrong.
    #[error("the key file {file}, {fault}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with the text of a key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there, without anything of a secret.
    pub what: String,
}

/// The keys of a file, in its order, each at a place from 1 to [`MAX_KEYS`] in the datapath.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyRing {
    ids: Vec<String>,
    keys: Vec<(u8, Key)>,
}

impl KeyRing {
    /// Reads a key file, which must belong to this user or root and be closed to all others.
    ///
    /// # Errors
    /// Where it is not private, or wrong.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let text = match read_private(path, &file) {
            Ok(text) => text?,
            Err(source) => return Err(Error::Unreadable { file: file.clone(), source }),
        };
        let content = |fault| Error::Content { file: file.clone(), fault };
        let text = std::str::from_utf8(&text).map_err(|error| {
            let line = 1 + text[..error.valid_up_to()].iter().filter(|it| **it == b'\n').count();
            content(Fault { line, what: "this is not text".to_owned() })
        });
        Self::parse(text?).map_err(content)
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut ring = Self::default();
        let mut last = 1;
        for (line, content) in (1..).zip(text.lines()) {
            last = line;
            let content = content.split('#').next().unwrap_or_default();
            ring.add(content).map_err(|what| Fault { line, what })?;
        }
        if ring.ids.is_empty() {
            let what = "there is no key; `linkprobe key generate` makes a line".to_owned();
            return Err(Fault { line: last, what });
        }
        Ok(ring)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let Some(id) = words.next() else { return Ok(()) };
        check_id(id)?;
        let secret = words.next().ok_or_else(|| {
            // Where there is one word only, that may be the secret.
            "there is no secret behind the id; write ID SECRET, the secret in hexadecimal"
                .to_owned()
        })?;
        if words.next().is_some() {
            return Err(format!("there is more behind the secret of `{id}`; write one key a line"));
        }
        if self.ids.iter().any(|taken| taken == id) {
            return Err(format!("there is a key `{id}` further up; ids must differ"));
        }
        if self.ids.len() == MAX_KEYS as usize {
            return Err(format!("there are more than {MAX_KEYS} keys; take out those out of use"));
        }
        let key = key(secret).map_err(|what| format!("the secret of `{id}` {what}"))?;
        self.ids.push(id.to_owned());
        self.keys.push((self.ids.len() as u8, key));
        Ok(())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, in the order of the file. The first is the one that signs, unless somebody chooses.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.position(id).map(|position| &self.keys[position].1)
    }

    /// The place of the key with this id.
    #[must_use]
    pub fn place(&self, id: &str) -> Option<u8> {
        self.position(id).map(|position| self.keys[position].0)
    }

    /// All keys with their places, for the datapath.
    #[must_use]
    pub fn placed(&self) -> &[(u8, Key)] {
        &self.keys
    }

    /// Gives each key that `before` has too its place there, and the others places that are free there
    /// as long as there are any: whoever uses a key by its place notices nothing.
    pub fn keep_places(&mut self, before: &Self) {
        let stays = |id: &str, key: &Key| before.place(id).filter(|_| before.get(id) == Some(key));
        let kept: Vec<_> =
            self.ids.iter().zip(&self.keys).map(|(id, (_, key))| stays(id, key)).collect();
        let all = 1..=MAX_KEYS as u8;
        let used = |place: &u8| before.keys.iter().any(|(taken, _)| taken == place);
        let (taken, free): (Vec<u8>, Vec<u8>) = all.partition(used);
        let given_up = taken.into_iter().filter(|place| !kept.contains(&Some(*place)));
        let mut others = free.into_iter().chain(given_up);
        for ((place, _), kept) in self.keys.iter_mut().zip(&kept) {
            *place = kept.or_else(|| others.next()).expect("there are no more keys than places");
        }
    }

    /// These keys, and of `before` those whose place is free: all that is in use while one follows the
    /// other.
    #[must_use]
    pub fn joined(&self, before: &Self) -> Self {
        let mut joined = self.clone();
        for (id, (place, key)) in before.ids.iter().zip(&before.keys) {
            if !joined.keys.iter().any(|(taken, _)| taken == place) {
                joined.ids.push(id.clone());
                joined.keys.push((*place, *key));
            }
        }
        joined
    }

    /// Whether another ring has the same key in this place.
    #[must_use]
    pub fn shares(&self, other: &Self, place: u8) -> bool {
        let at = |ring: &Self| ring.keys.iter().position(|(taken, _)| *taken == place);
        match (at(self), at(other)) {
            (Some(this), Some(that)) => {
                self.ids[this] == other.ids[that] && self.keys[this] == other.keys[that]
            }
            _ => false,
        }
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing{:?}", self.ids)
    }
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        for (_, key) in &mut self.keys {
            key.inner.zeroize();
            key.outer.zeroize();
        }
    }
}

/// Checks the id of a key.
///
/// # Errors
/// What is wrong with it.
pub fn check_id(id: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let secret = id.len() >= 2 * MIN_SECRET && id.bytes().all(|c| c.is_ascii_hexdigit());
    if id.is_empty() || id.len() > MAX_ID || !id.chars().all(plain) || secret {
        // It may be a secret in the wrong place, so it is not repeated.
        return Err(format!(
            "the id is not 1 to {MAX_ID} letters, digits, \"-\", \"_\" and \".\"; write ID SECRET"
        ));
    }
    if id == "none" {
        return Err("`none` cannot be the id of a key: it stands for no key".to_owned());
    }
    Ok(())
}

/// A line for a key file, with a secret that nobody else has.
///
/// # Errors
/// Where the id is wrong, or the system gives no random octets.
pub fn generate(id: &str) -> Result<Zeroizing<String>, String> {
    check_id(id)?;
    let mut secret = Zeroizing::new([0; SECRET]);
    getrandom::fill(&mut *secret).map_err(|error| format!("no random octets: {error}"))?;
    let mut digits = Zeroizing::new([0; 2 * SECRET]);
    hex::encode_to_slice(secret.as_slice(), &mut *digits).expect("the lengths fit");
    let digits = std::str::from_utf8(&*digits).expect("hexadecimal digits are text");
    Ok(Zeroizing::new(format!("{id} {digits}")))
}

/// The id of a key that is made today: the date, UTC.
#[must_use]
pub fn id_of_today() -> String {
    let now = UNIX_EPOCH + Duration::from_nanos(clock::realtime());
    humantime::format_rfc3339_seconds(now).to_string().chars().take_while(|c| *c != 'T').collect()
}

fn key(digits: &str) -> Result<Key, String> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("has a character that is no hexadecimal digit".to_owned());
    }
    let octets = digits.len() / 2;
    if digits.len() % 2 == 1 || !(MIN_SECRET..=MAX_SECRET).contains(&octets) {
        return Err(format!(
            "has {} hexadecimal digits; write an even number from {} to {}",
            digits.len(),
            2 * MIN_SECRET,
            2 * MAX_SECRET,
        ));
    }
    let mut secret = Zeroizing::new([0; MAX_SECRET]);
    hex::decode_to_slice(digits, &mut secret[..octets]).expect("digits, and an even number");
    Ok(Key::new(&secret[..octets]))
}

/// Opens, checks and reads a file. What is checked is the file that was opened, whatever the name stands
/// for a moment later.
fn read_private(path: &Path, name: &str) -> io::Result<Result<Zeroizing<Vec<u8>>, Error>> {
    let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    // SAFETY: the call has no arguments and cannot fail.
    let we = unsafe { libc::geteuid() };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let file_name = || name.to_owned();
    if !metadata.is_file() {
        return Ok(Err(Error::NotAFile(file_name())));
    }
    if owner != we && owner != 0 {
        return Ok(Err(Error::Owner { file: file_name(), owner, we }));
    }
    if mode & 0o077 != 0 {
        return Ok(Err(Error::Mode { file: file_name(), mode }));
    }
    // All at once, so that no growing buffer leaves copies behind.
    let mut text = Zeroizing::new(vec![0; MAX_FILE]);
    let mut length = 0;
    loop {
        match (&file).read(&mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length == MAX_FILE {
        return Err(io::Error::other(format!("it has {MAX_FILE} octets or more")));
    }
    text.truncate(length);
    Ok(Ok(text))
}
