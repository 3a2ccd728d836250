//! What people type: normalised, counted in characters, refused where it cannot be shown.
//!
//! A character is an extended grapheme cluster after NFC. Nothing is escaped: that is the business of who displays.

use crate::config::ContentLimit;
use rookery_shared::{
    model::Attachment,
    protocol::{FieldError, Problem},
};
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation as _;

/// A character may be made of any number of code points; so many bytes for each on average are enough for any script.
const BYTES_PER_CHARACTER: usize = 32;

/// The largest number that is exact in every program that reads JSON.
pub(crate) const MAX_EXACT: u64 = (1 << 53) - 1;

/// Collects what is wrong, so that a caller learns all of it at once.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    /// Something is wrong with a field.
    pub(crate) fn wrong(&mut self, field: &'static str, message: impl Into<Cow<'static, str>>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// The value, or a note of what is wrong with it.
    pub(crate) fn take<T>(&mut self, field: &'static str, value: Result<T, Cow<'static, str>>) -> Option<T> {
        value.map_err(|message| self.wrong(field, message)).ok()
    }

    /// The same for a field that must be there.
    pub(crate) fn required<V, T>(
        &mut self,
        field: &'static str,
        value: Option<V>,
        check: impl FnOnce(V) -> Result<T, Cow<'static, str>>,
    ) -> Option<T> {
        let Some(value) = value else {
            self.wrong(field, "is required");
            return None;
        };
        self.take(field, check(value))
    }

    /// The same for a field that may be absent.
    pub(crate) fn optional<V, T>(
        &mut self,
        field: &'static str,
        value: Option<V>,
        check: impl FnOnce(V) -> Result<T, Cow<'static, str>>,
    ) -> Option<T> {
        value.and_then(|value| self.take(field, check(value)))
    }

    /// The problem that something is wrong.
    pub(crate) fn problem(self) -> Problem {
        Problem::fields(self.0)
    }

    /// The problem, if anything is wrong.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self.problem()) }
    }
}

type Checked<T> = Result<T, Cow<'static, str>>;

/// Characters of a text that is in NFC.
fn characters(text: &str) -> usize {
    // Every code point of ASCII but CR LF is a character of its own.
    if text.is_ascii() && !text.contains('\r') { text.len() } else { text.graphemes(true).count() }
}

fn within(text: &str, min: usize, max: usize) -> Checked<()> {
    let expected = || Err(format!("has {min} to {max} characters").into());
    if text.len() > max.saturating_mul(BYTES_PER_CHARACTER) {
        return expected();
    }
    if (min..=max).contains(&characters(text)) { Ok(()) } else { expected() }
}

fn nfc(text: String) -> String {
    if text.is_ascii() { text } else { text.nfc().collect() }
}

/// A message's content.
pub(crate) fn content(text: String, limit: ContentLimit) -> Checked<String> {
    let text = nfc(text);
    let text = if text.contains('\r') { text.replace("\r\n", "\n") } else { text };
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("has no control characters other than newline and tab".into());
    }
    if text.chars().all(char::is_whitespace) {
        return Err("is more than white space".into());
    }
    let ContentLimit { characters: most, bytes } = limit;
    if text.len() > bytes || characters(&text) > most {
        return Err(format!("has 1 to {most} characters and at most {bytes} bytes").into());
    }
    Ok(text)
}

/// One line of at most `max` characters, more than white space.
pub(crate) fn line(text: String, max: usize) -> Checked<String> {
    let text = nfc(text);
    if text.chars().any(char::is_control) {
        return Err("has no control characters".into());
    }
    if text.chars().all(char::is_whitespace) {
        return Err("is more than white space".into());
    }
    within(&text, 1, max)?;
    Ok(text)
}

/// What names are searched for: may be empty, and has at most `max` characters.
pub(crate) fn wanted(text: &str, max: usize) -> Checked<String> {
    if text.chars().any(char::is_control) {
        return Err("has no control characters".into());
    }
    let text = nfc(text.to_owned());
    within(&text, 0, max)?;
    Ok(text)
}

/// Several lines of at most `max` characters; may be empty.
pub(crate) fn lines(text: String, max: usize) -> Checked<String> {
    let text = nfc(text).replace("\r\n", "\n");
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("has no control characters other than newline and tab".into());
    }
    within(&text, 0, max)?;
    Ok(text)
}

/// NFKC and case folding, for comparing.
pub(crate) fn fold(text: &str) -> String {
    let folded = caseless::default_case_fold_str(&text.nfkc().collect::<String>());
    folded.nfkc().collect()
}

/// A username and the key that it is compared by.
pub(crate) fn username(text: String) -> Checked<(String, String)> {
    let text = nfc(text);
    let key = fold(&text);
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-') || is_combining_mark(c);
    let starts_well = |text: &str| !text.chars().next().is_some_and(is_combining_mark);
    if !text.chars().all(allowed) || !key.chars().all(allowed) || !starts_well(&text) {
        return Err("consists of letters, digits, _, . and -".into());
    }
    within(&text, 3, 30)?;
    within(&key, 3, 30)?;
    Ok((text, key))
}

/// An e-mail address and the key that it is compared by.
pub(crate) fn email(text: String) -> Checked<(String, String)> {
    let text = nfc(text);
    let address = text.rsplit_once('@').is_some_and(|(local, domain)| {
        let local_fits = !local.is_empty() && local.len() <= 64 && !local.contains('@');
        let label = |label: &str| {
            !label.is_empty()
                && label.chars().all(|c| c.is_alphanumeric() || c == '-' || is_combining_mark(c))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        local_fits && domain.split('.').all(label)
    });
    if !address || text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("is an e-mail address".into());
    }
    let key = fold(&text);
    Ok((text, key))
}

/// A new password. It is hashed as it comes, in NFC, so that every keyboard makes the same one.
pub(crate) fn password(text: String) -> Checked<String> {
    let text = nfc(text);
    within(&text, 8, 128)?;
    Ok(text)
}

/// A password as it is compared, whatever its length.
pub(crate) fn entered_password(text: String) -> String {
    nfc(text)
}

/// A client id. Never changed, as clients compare it.
pub(crate) fn client_id(text: String) -> Checked<String> {
    if text.chars().any(char::is_control) {
        return Err("has no control characters".into());
    }
    within(&text, 1, 128)?;
    Ok(text)
}

fn is_web_url(url: &str) -> bool {
    let web = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let blank = |c: char| c.is_control() || c.is_whitespace();
    web.is_some_and(|rest| !rest.is_empty()) && !url.chars().any(blank) && url.len() <= 2_048
}

/// The address of something on the web.
pub(crate) fn web_url(url: String) -> Checked<String> {
    if is_web_url(&url) { Ok(url) } else { Err("is an http or https URL of at most 2048 bytes".into()) }
}

/// A file that lies elsewhere.
pub(crate) fn attachment(file: Attachment) -> Checked<Attachment> {
    if !is_web_url(&file.url) {
        return Err("has an http or https url of at most 2048 bytes".into());
    }
    let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if file.mime.len() > 255 || !file.mime.split_once('/').is_some_and(|(kind, sort)| token(kind) && token(sort)) {
        return Err("has a media type like image/png".into());
    }
    // Larger numbers are not exact everywhere: JavaScript counts no further.
    if file.size > MAX_EXACT {
        return Err("has a size of at most 9007199254740991".into());
    }
    let name = line(file.name, 255).map_err(|_| Cow::from("has a name of 1 to 255 characters"))?;
    Ok(Attachment { name, ..file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: String) -> Checked<String> {
        super::content(text, ContentLimit::default())
    }

    #[test]
    fn a_limit_of_content_is_what_it_was_set_to() {
        let limit = ContentLimit { characters: 3, bytes: 5 };
        assert!(super::content("abc".into(), limit).is_ok());
        assert!(super::content("abcd".into(), limit).is_err());
        assert!(super::content("語語".into(), limit).is_err());
    }

    #[test]
    fn characters_are_counted_as_people_see_them() {
        let family = "👨‍👩‍👧‍👦";
        assert!(content(family.repeat(600)).is_ok());
        assert!(content("e\u{301}".repeat(4_000)).is_ok());
        assert!(content("e".repeat(4_001)).is_err());
        assert!(content("語".repeat(4_000)).is_ok());
        assert!(content(family.repeat(700)).is_err(), "more than 16 KiB");
    }

    #[test]
    fn only_line_ends_and_composition_of_content_change() {
        assert_eq!(content("a\r\nb\tc <b>&amp;".into()).as_deref(), Ok("a\nb\tc <b>&amp;"));
        assert_eq!(content("e\u{301}".into()).as_deref(), Ok("é"));
        for refused in ["", " \n\t", "\u{3000}", "a\u{0}", "a\rb", "a\u{85}", "\u{1b}[31m"] {
            assert!(content(refused.into()).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn usernames_are_compared_without_case_and_width() {
        let key = |name: &str| username(name.into()).map(|(_, key)| key);
        assert_eq!(key("Straße"), key("STRASSE"));
        assert_eq!(key("ＡＬＩＣＥ"), key("alice"));
        assert_eq!(key("e\u{301}mile"), key("É\u{6d}ile"));
        for fine in ["bob", "a_b.c-d", "Ольга", "日本語", "नमस्कार", "x".repeat(30).as_str()] {
            assert!(username(fine.into()).is_ok(), "{fine}");
        }
        for refused in ["ab", "a b", "a@b", "a\u{200b}bc", "½cup", "\u{301}abc", "x".repeat(31).as_str(), "a/b"] {
            assert!(username(refused.into()).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_address_has_a_name_and_a_domain() {
        for fine in ["a@b.c", "first.last+tag@sub.example.org", "öl@ölmühle.de"] {
            assert!(email(fine.into()).is_ok(), "{fine}");
        }
        for refused in ["", "a", "a@", "@b", "a b@c", "a@b..c", "a@-b", "a@b@c", &format!("{}@b", "a".repeat(65))] {
            assert!(email(refused.into()).is_err(), "{refused}");
        }
    }
}
