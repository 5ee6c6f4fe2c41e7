//! Hostile text. Names, descriptions and user agents are written by whoever made the change; Rescind repeats some of
//! them in logs, on the bus and in notifications.

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
