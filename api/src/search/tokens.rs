//! The tokenizer: from a text to what it can be found by, with the place of everything in the text.
//!
//! It goes from grapheme to grapheme and looks at nothing around them, so that a word in a query becomes the very token
//! that the same word in a message became, whatever stands beside it. Words end at everything that is neither letter nor
//! digit: `can't`, `www.example.org` and `snake_case` are found by each of their parts. Scripts that are written without
//! spaces have no words to find; their text is a run of characters, which is found by any stretch of it.

use crate::text::fold;
use std::{collections::HashSet, ops::Range};
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory, UnicodeEmoji as _, UnicodeGeneralCategory as _};
use unicode_segmentation::UnicodeSegmentation as _;

/// Most bytes of an indexed word. Longer ones are cut, on both sides: what was cut off is compared when a message that
/// matches so far is looked at.
const MAX_WORD_BYTES: usize = 64;

/// Most words of one message. No content that is allowed has more, except by intent.
const MAX_WORDS: usize = 4_096;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Letters and digits.
    Word,
    /// Characters of a script without spaces, one unit each.
    Run,
    /// An emoji or another symbol.
    Symbol,
}

/// The smallest part of a token: what one grapheme became, or one character of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Where it ends in the token's text.
    pub(super) end: usize,
    /// Where it stands in the source, in bytes.
    pub(super) source: Range<usize>,
}

/// A word, a run or a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) sort: Sort,
    /// Folded: compatible forms, widths and cases are one; diacritics stay.
    pub(super) text: String,
    pub(super) units: Vec<Unit>,
}

impl Token {
    /// The text from one unit to before another.
    pub(super) fn stretch(&self, from: usize, to: usize) -> &str {
        let place = |unit: usize| unit.checked_sub(1).map_or(0, |before| self.units[before].end);
        &self.text[place(from)..place(to)]
    }
}

/// What a character is to a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Neither seen nor compared.
    Ignored,
    /// Goes with the character before it.
    Mark,
    Letter,
    Unspaced,
    /// Ends a token and is none.
    Other,
}

fn class(c: char) -> Class {
    match c {
        'a'..='z' | '0'..='9' | 'A'..='Z' => Class::Letter,
        '\0'..='\u{7f}' => Class::Other,
        _ if is_ignored(c) => Class::Ignored,
        _ if is_combining_mark(c) => Class::Mark,
        _ if is_unspaced(c) => Class::Unspaced,
        _ if c.is_alphanumeric() => Class::Letter,
        _ => Class::Other,
    }
}

/// Whether all of a grapheme, marks apart, is letters, or unspaced, or nothing.
fn is_of_one_class(folded: &str) -> bool {
    let mut classes = folded.chars().map(class).filter(|class| !matches!(class, Class::Ignored | Class::Mark));
    let first = classes.next();
    classes.all(|class| Some(class) == first)
}

/// Soft hyphens, joiners, marks of direction, variation selectors, and the Arabic stretching of words.
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0100}'..='\u{e01ef}')
}

/// Han, kana, bopomofo and hangul; Thai, Lao, Burmese and Khmer, without their digits.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}' | '\u{e81}'..='\u{ecf}' | '\u{edc}'..='\u{edf}'
        | '\u{1000}'..='\u{103f}' | '\u{1050}'..='\u{108f}' | '\u{1780}'..='\u{17d3}' | '\u{17dc}'..='\u{17dd}'
        | '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{3035}'
        | '\u{3038}'..='\u{303c}' | '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{1aff0}'..='\u{1b16f}' | '\u{20000}'..='\u{3fffd}')
}

/// Whether folding leaves it alone. Most of what is written in these scripts; saves two allocations each.
fn is_folded(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

/// Folded text of one grapheme.
fn folded(grapheme: &str) -> String {
    let mut chars = grapheme.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        if c.is_ascii() {
            return c.to_ascii_lowercase().to_string();
        }
        if is_folded(c) {
            return grapheme.to_owned();
        }
    }
    match fold(grapheme) {
        // A Turkish capital keeps its dot when it is folded, which no small letter has.
        dotted if dotted == "i\u{307}" => "i".to_owned(),
        folded => folded,
    }
}

/// The text of a symbol, if this grapheme is one. An emoji is not folded, as some would become letters; that it is to be
/// shown in colours or not makes no difference. Other symbols may be letters in another form.
fn symbol(grapheme: &str) -> Option<String> {
    let first = grapheme.chars().next()?;
    let is_keycap = grapheme.contains('\u{20e3}');
    if is_keycap || (!first.is_ascii() && first.is_emoji_char_or_emoji_component() && !is_ignored(first)) {
        return Some(grapheme.replace(['\u{fe0e}', '\u{fe0f}'], ""));
    }
    let category = first.general_category();
    let symbols = [GeneralCategory::CurrencySymbol, GeneralCategory::MathSymbol, GeneralCategory::OtherSymbol];
    if first.is_ascii() || !symbols.contains(&category) {
        return None;
    }
    let text = folded(grapheme);
    let letters = text.chars().any(|c| matches!(class(c), Class::Letter | Class::Unspaced));
    (!letters && !text.starts_with(|c: char| c.is_ascii())).then_some(text)
}

/// Collects tokens while a text is walked through.
#[derive(Default)]
struct Scan {
    tokens: Vec<Token>,
    /// Whether the last token may grow.
    open: bool,
}

impl Scan {
    fn push(&mut self, sort: Sort, text: String, source: Range<usize>) {
        self.tokens.push(Token { sort, units: vec![Unit { end: text.len(), source }], text });
        self.open = sort != Sort::Symbol;
    }

    fn character(&mut self, c: char, source: &Range<usize>) {
        let last = if self.open { self.tokens.last_mut() } else { None };
        let sort = match class(c) {
            Class::Ignored => return,
            Class::Other => {
                self.open = false;
                return;
            }
            Class::Mark => {
                let Some(token) = last else { return };
                token.text.push(c);
                if let Some(unit) = token.units.last_mut() {
                    unit.end = token.text.len();
                    unit.source.end = source.end;
                }
                return;
            }
            Class::Letter => Sort::Word,
            Class::Unspaced => Sort::Run,
        };
        let Some(token) = last.filter(|token| token.sort == sort) else {
            self.push(sort, c.to_string(), source.clone());
            return;
        };
        token.text.push(c);
        let end = token.text.len();
        match token.units.last_mut() {
            // A letter that is folded to several stays one.
            Some(unit) if sort == Sort::Word && unit.source == *source => unit.end = end,
            _ => token.units.push(Unit { end, source: source.clone() }),
        }
    }
}

/// The tokens of a text, in its order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut scan = Scan::default();
    for (start, grapheme) in text.grapheme_indices(true) {
        let source = start..start + grapheme.len();
        if let Some(symbol) = symbol(grapheme) {
            scan.push(Sort::Symbol, symbol, source);
        } else if let [byte] = grapheme.as_bytes() {
            scan.character(char::from(byte.to_ascii_lowercase()), &source);
        } else {
            let folded = folded(grapheme);
            // What becomes several words by itself (㏂, ﷺ) joins with nothing around it.
            let apart = !is_of_one_class(&folded);
            scan.open &= !apart;
            for c in folded.chars() {
                scan.character(c, &source);
            }
            scan.open &= !apart;
        }
    }
    scan.tokens
}

/// A word as it is indexed and looked for: cut where it is too long.
pub(super) fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(MAX_WORD_BYTES)]
}

/// The words that a message is found by, each once. A run is known by its pairs of neighbours, and by its last
/// character: every other one begins a pair.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut seen = HashSet::new();
    let tokens = tokens(text);
    let all = tokens.iter().flat_map(|token| {
        let count = if token.sort == Sort::Run { token.units.len() } else { 1 };
        let whole = token.units.len();
        (0..count).map(move |from| {
            let to = if token.sort == Sort::Run { (from + 2).min(whole) } else { whole };
            cut(token.stretch(from, to))
        })
    });
    for word in all {
        if words.len() == MAX_WORDS {
            break;
        }
        if seen.insert(word) {
            words.push(word.to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_end_at_everything_that_is_neither_letter_nor_digit() {
        assert_eq!(texts("Hello, World!"), ["hello", "world"]);
        assert_eq!(
            texts("can't l’avion www.example.org/a?b=1 snake_case 3.14"),
            ["can", "t", "l", "avion", "www", "example", "org", "a", "b", "1", "snake", "case", "3", "14"]
        );
        assert_eq!(texts(" \n.,;-_()\"'`…—«»“”"), [""; 0]);
    }

    #[test]
    fn cases_widths_and_forms_are_one_and_diacritics_stay() {
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("ＡＢＣ１", "abc1"),
            ("ﬁn", "fin"),
            ("ΟΔΟΣ", "οδος"),
            ("İstanbul", "istanbul"),
            ("Привет", "ПРИВЕТ"),
            ("e\u{301}te\u{301}", "été"),
            ("ﾊﾟﾝ", "パン"),
            ("㍿", "株式会社"),
            ("x²", "x2"),
            ("Zu\u{ad}cker", "zucker"),
            ("می\u{200c}خواهم", "میخواهم"),
            ("ســلام", "سلام"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
        ] {
            assert_eq!(texts(one), texts(other), "{one} {other}");
        }
        assert_ne!(texts("schon"), texts("schön"));
        assert_eq!(texts("नमस्ते दुनिया"), ["नमस्ते", "दुनिया"]);
        assert_eq!(texts("שָׁלוֹם עולם"), ["שָׁלוֹם", "עולם"].map(fold));
    }

    #[test]
    fn a_script_without_spaces_is_known_by_its_pairs() {
        assert_eq!(words("東京タワー"), ["東京", "京タ", "タワ", "ワー", "ー"]);
        assert_eq!(words("我爱你，中国"), ["我爱", "爱你", "你", "中国", "国"]);
        assert_eq!(words("한국어 말"), ["한국", "국어", "어", "말"]);
        assert_eq!(words("iPhone手机15"), ["iphone", "手机", "机", "15"]);
        assert_eq!(words("สวัสดี").first().map(String::as_str), Some("สวั"));
        assert_eq!(words("猫"), ["猫"]);
        assert_eq!(words("ababab ab"), ["ababab", "ab"]);
    }

    #[test]
    fn emoji_and_other_symbols_are_tokens_of_their_own() {
        assert_eq!(texts("hi👋🏽there"), ["hi", "👋🏽", "there"]);
        assert_eq!(texts("👍👍 ❤️❤ 🇩🇪🇫🇷 1️⃣"), ["👍", "👍", "❤", "❤", "🇩🇪", "🇫🇷", "1\u{20e3}"]);
        assert_eq!(texts("👨‍👩‍👧‍👦!"), ["👨‍👩‍👧‍👦"]);
        assert_eq!(texts("5€ → ★ ©™ $ +"), ["5", "€", "→", "★", "©", "™"]);
        assert_eq!(texts("#1 *2*"), ["1", "2"]);
    }

    #[test]
    fn long_words_are_cut_and_very_many_are_not_all_indexed() {
        let long = "ü".repeat(100);
        assert_eq!(words(&long), ["ü".repeat(32)]);
        let many = (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&many).len(), MAX_WORDS);
        let longest: String = (0..4_000_u32).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
        assert_eq!(words(&longest).len(), 4_000);
    }

    #[test]
    fn a_token_knows_where_it_stands() {
        let text = "👍 Straße";
        let word = &tokens(text)[1];
        assert_eq!(
            word.units.iter().map(|unit| &text[unit.source.clone()]).collect::<Vec<_>>(),
            ["S", "t", "r", "a", "ß", "e"]
        );
        assert_eq!((word.stretch(3, 5), word.stretch(0, 6)), ("ass", "strasse"));
    }
}
