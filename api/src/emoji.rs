//! What an emoji is: one character as people see it, made of what emojis are made of.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::UnicodeEmoji as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Most bytes of one emoji; a kiss between two people with skin tones takes 35.
const MAX_BYTES: usize = 64;

/// The sign that makes a keycap of a digit.
const KEYCAP: char = '\u{20e3}';

/// Exactly one emoji, normalised.
pub(crate) fn one(text: &str) -> Result<String, Cow<'static, str>> {
    if text.len() <= MAX_BYTES && is_one(text) { Ok(text.nfc().collect()) } else { Err("is exactly one emoji".into()) }
}

fn is_one(text: &str) -> bool {
    let made_of = |c: char| c.is_emoji_char_or_emoji_component();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    if text.graphemes(true).count() != 1 || !text.chars().all(made_of) || !first.is_emoji_char() {
        return false;
    }
    match first {
        // Digits and two signs have the property, as keycaps are made of them; by themselves they are no emojis.
        '0'..='9' | '#' | '*' => text.ends_with(KEYCAP),
        // One half of a flag is a letter in a box.
        '\u{1f1e6}'..='\u{1f1ff}' => chars.count() == 1,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emojis_of_every_sort_are_one() {
        for emoji in ["👍", "❤️", "❤", "👍🏽", "👨‍👩‍👧‍👦", "👩🏻‍❤️‍💋‍👩🏿", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "#️⃣", "©️", "🏳️‍🌈", "☑️"]
        {
            assert_eq!(one(emoji).as_deref(), Ok(emoji), "{emoji}");
        }
    }

    #[test]
    fn everything_else_is_none() {
        let many = format!("👍{}", "\u{200d}👍".repeat(20));
        for text in
            ["", " ", "a", "1", "#", "👍👍", "👍a", "e\u{301}", "语", "🇩", "👍\u{301}", "\u{200d}", "\u{fe0f}", &many]
        {
            assert!(one(text).is_err(), "{text:?}");
        }
    }
}
