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

/// The first half of a SHA-256 hash of the parts, in hexadecimal digits.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Length first, so that no two different lists of parts hash alike.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut id, byte| {
        // Writing to a text can't fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn harmless(character: char) -> char {
    match character {
        '"' => '\'',
        '\\' => '/',
        '<' => '(',
        '>' => ')',
        // Zero-width characters, line and paragraph separators, and marks that reverse the reading direction.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => ' ',
        character if character.is_control() => ' ',
        character => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_markup_control_and_direction_marks_do_not_survive() {
        assert_eq!(clean("a\"b\\c\n<b>\u{202e}\u{1b}[31m", LONGEST), "a'b/c (b)  [31m");
    }

    #[test]
    fn long_text_is_cut_by_characters_and_says_so() {
        assert_eq!(clean(&"é".repeat(500), 3), "ééé…");
        assert_eq!(clean("ééé", 3), "ééé");
    }
}
