//! Hostile text. Names, descriptions and user agents are written by whoever made the change; Rescind repeats some of
//! them in logs, on the bus and in notifications.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The longest text that an outcome repeats from outside, in characters.
pub const LONGEST: usize = 400;

/// `text` fit to be repeated: no control characters, no invisible or text-reversing characters, no double quotes or
/// backslashes (they end a string in EventBridge's input templates, which do not escape), no angle brackets (markup),
/// and at most `longest` characters.
pub fn clean(text: &str, longest: usize) -> String {
    let mut cleaned: String = text.chars().map(harmless).take(longest).collect();
    if text.chars().nth(longest).is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// Names for a sentence: all of them up to four, else the first three and how many there are more.
pub fn few(mut names: Vec<String>) -> String {
    if names.len() > 4 {
        let more = names.len() - 3;
        names.truncate(3);
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

/// The first half of a SHA-256 hash of the parts, in hexadecimal digits.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Length first, so that no two different lists of parts hash alike.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hexadecimal(&hash.finalize()).chars().take(32).collect()
}

/// The SHA-256 hash of these bytes, as `sha256sum` writes it.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a text can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn harmless(character: char) -> char {
    match character {
        '"' => '\'',
        '\\' => '/',
        '<' => '(',
        '>' => ')',
        character if character.is_control() || is_unseen(character) => ' ',
        character => character,
    }
}

/// Whether a character changes what is read without being seen: Unicode's `Default_Ignorable_Code_Point`, in which are the
/// marks that reverse the reading direction; line and paragraph separators; and marks of annotations.
fn is_unseen(character: char) -> bool {
    matches!(
        u32::from(character),
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_markup_control_and_direction_marks_do_not_survive() {
        assert_eq!(clean("a\"b\\c\n<b>\u{202e}\u{1b}[31m", LONGEST), "a'b/c (b)  [31m");
    }

    #[test]
    fn what_is_not_seen_does_not_survive() {
        for hidden in "\u{ad}\u{34f}\u{61c}\u{180e}\u{200b}\u{200f}\u{2029}\u{202a}\u{2066}\u{2069}\u{3164}\u{fe0f}\u{feff}\u{fffb}\u{e0041}\u{e01ef}".chars() {
            assert_eq!(clean(&format!("a{hidden}b"), LONGEST), "a b", "{}", hidden.escape_unicode());
        }
        for seen in ["Ünï-çødé", "مجموعة", "安全组", "😀", "日本語 ソウル"] {
            assert_eq!(clean(seen, LONGEST), seen);
        }
    }

    #[test]
    fn hashes_are_those_of_other_tools() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest(["abc"]).len(), 32);
    }

    #[test]
    fn long_text_is_cut_by_characters_and_says_so() {
        assert_eq!(clean(&"é".repeat(500), 3), "ééé…");
        assert_eq!(clean("ééé", 3), "ééé");
    }
}
