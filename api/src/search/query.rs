//! What is looked for, and how well a text answers it.
//!
//! The store matches words and knows no more. Here everything that it found is looked at again with the same tokenizer:
//! that is where a stretch of characters must be found as it was typed, and where ranks and highlights come from.

use super::tokens::{Sort, Token, cut, tokens};
use crate::store::WantedWord;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};
use utoipa::ToSchema;

/// Most words that the store is asked for. Longer ones match less, so that the longest leave little to look at.
const MAX_WANTED: usize = 8;

/// Most highlights of one message.
const MAX_HIGHLIGHTS: usize = 100;

/// A stretch of a message's content that matches, in UTF-16 code units: what `slice` and `substring` of most languages
/// count. It never splits what a person sees as one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Highlight {
    /// Where it begins.
    pub(crate) start: usize,
    /// How long it is.
    pub(crate) length: usize,
}

/// How well a message answers a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Grows with how many terms were found as they were typed, and not only as beginnings; then with how often all of
    /// them were found.
    pub(crate) score: u32,
    /// What to show.
    pub(crate) highlights: Vec<Highlight>,
}

/// Something that was typed without a space in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Term {
    /// A word or a symbol, or the beginning of one.
    Beginning(String),
    /// Characters that follow one another. The last one may be the beginning of one.
    Stretch(Vec<String>),
}

/// Where a term was found.
struct Hit {
    source: Range<usize>,
    exact: bool,
}

impl Term {
    fn of(token: &Token) -> Self {
        match token.sort {
            Sort::Word | Sort::Symbol => Self::Beginning(token.text.clone()),
            Sort::Run => {
                Self::Stretch((0..token.units.len()).map(|unit| token.stretch(unit, unit + 1).to_owned()).collect())
            }
        }
    }

    /// The indexed words that a message has for certain if the term is found in it.
    fn wanted(&self, wanted: &mut BTreeMap<String, bool>) {
        let mut want = |text: &str, prefix: bool| {
            // What must match exactly is looked for exactly, whatever else begins with it.
            wanted.entry(cut(text).to_owned()).and_modify(|known| *known &= prefix).or_insert(prefix);
        };
        match self {
            Self::Beginning(text) => want(text, true),
            Self::Stretch(units) => match units.as_slice() {
                [one] => want(one, true),
                units => {
                    let last = units.len() - 2;
                    for (index, pair) in units.windows(2).enumerate() {
                        want(&pair.concat(), index == last);
                    }
                }
            },
        }
    }

    /// Where this token answers the term.
    fn hits(&self, token: &Token, hits: &mut Vec<Hit>) {
        match (self, token.sort) {
            (Self::Beginning(text), Sort::Word | Sort::Symbol) if token.text.starts_with(text.as_str()) => {
                let whole = token.text.len() == text.len();
                let last = token.units.partition_point(|unit| unit.end < text.len());
                hits.extend(source(token, 0, last).map(|source| Hit { source, exact: whole }));
            }
            (Self::Stretch(units), Sort::Run) => {
                for from in 0..(token.units.len() + 1).saturating_sub(units.len()) {
                    let unit = |index: usize| token.stretch(from + index, from + index + 1);
                    let last = units.len() - 1;
                    let found = units[..last].iter().enumerate().all(|(index, wanted)| unit(index) == wanted)
                        && unit(last).starts_with(units[last].as_str());
                    if found {
                        let exact = unit(last) == units[last];
                        hits.extend(source(token, from, from + last).map(|source| Hit { source, exact }));
                    }
                }
            }
            _ => {}
        }
    }
}

/// From the beginning of one unit to the end of another.
fn source(token: &Token, first: usize, last: usize) -> Option<Range<usize>> {
    Some(token.units.get(first)?.source.start..token.units.get(last)?.source.end)
}

/// What is looked for: every term of it.
#[derive(Clone, Debug)]
pub(crate) struct Query(Vec<Term>);

impl Query {
    /// Reads what was typed. What has no word in it asks for nothing, and nothing answers it.
    pub(crate) fn parse(text: &str) -> Self {
        let mut seen = HashSet::new();
        Self(tokens(text).iter().map(Term::of).filter(|term| seen.insert(term.clone())).collect())
    }

    /// What the store is asked for. Every message that answers the query has these words.
    pub(crate) fn wanted(&self) -> Vec<WantedWord> {
        let mut wanted = BTreeMap::new();
        for term in &self.0 {
            term.wanted(&mut wanted);
        }
        let mut wanted: Vec<_> = wanted.into_iter().map(|(text, prefix)| WantedWord { text, prefix }).collect();
        wanted.sort_by_key(|word| std::cmp::Reverse(word.text.len()));
        wanted.truncate(MAX_WANTED);
        wanted
    }

    /// How a text answers; not at all if a term is not in it.
    pub(crate) fn answer(&self, text: &str) -> Option<Answer> {
        if self.0.is_empty() {
            return None;
        }
        let tokens = tokens(text);
        let (mut exact, mut often) = (0_u32, 0_usize);
        let mut found = Vec::new();
        for term in &self.0 {
            let mut hits = Vec::new();
            for token in &tokens {
                term.hits(token, &mut hits);
            }
            if hits.is_empty() {
                return None;
            }
            exact += u32::from(hits.iter().any(|hit| hit.exact));
            often += hits.len();
            found.extend(hits.into_iter().map(|hit| hit.source));
        }
        let often = u32::try_from(often).unwrap_or(u32::MAX).min(OFTEN);
        Some(Answer { score: exact * (OFTEN + 1) + often, highlights: highlights(text, found) })
    }
}

/// From how many times on it is just often.
const OFTEN: u32 = 999;

/// Stretches of a text in UTF-16, in order, those that overlap as one.
fn highlights(text: &str, mut found: Vec<Range<usize>>) -> Vec<Highlight> {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged.truncate(MAX_HIGHLIGHTS);
    let (mut place, mut counted) = (0, 0);
    let mut count_to = |end: usize| {
        counted += text[place..end].encode_utf16().count();
        place = end;
        counted
    };
    let highlight = |range: Range<usize>| {
        let start = count_to(range.start);
        Highlight { start, length: count_to(range.end) - start }
    };
    merged.into_iter().map(highlight).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::words, *};
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation as _;

    /// Whether a store that knows the words of a text gives it for this query, and it answers when it is looked at.
    fn finds(query: &str, text: &str) -> bool {
        let query = Query::parse(query);
        let words = words(text);
        let indexed = query.wanted().iter().all(|wanted| {
            words.iter().any(|word| if wanted.prefix { word.starts_with(&wanted.text) } else { *word == wanted.text })
        });
        let answers = query.answer(text).is_some();
        assert!(indexed || !answers, "an index never hides what answers");
        indexed && answers
    }

    fn shown(query: &str, text: &str) -> Vec<String> {
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let answer = Query::parse(query).answer(text).expect("an answer");
        let part =
            |it: Highlight| String::from_utf16(&utf16[it.start..it.start + it.length]).expect("whole characters");
        answer.highlights.into_iter().map(part).collect()
    }

    #[test]
    fn every_word_is_found_and_every_beginning() {
        let text = "Das Wetter in São Paulo: 30 °C, не холодно ☀️";
        for query in ["wetter", "WET", "são", "paulo são", "30", "холодно", "хол", "☀", "☀️", "das in p"]
        {
            assert!(finds(query, text), "{query}");
        }
        for query in ["etter", "wetterx", "sao", "wetter regen", "31", "☔"] {
            assert!(!finds(query, text), "{query}");
        }
    }

    #[test]
    fn any_stretch_is_found_where_there_are_no_spaces() {
        for (text, found, missed) in [
            (
                "今日は東京タワーに行きました",
                vec!["東京", "東", "タワ", "ー", "東京タワー", "今日 行き", "た"],
                vec!["京東", "日東", "大阪"],
            ),
            ("北京和东京都很大", vec!["北京", "东京都", "大", "京"], vec!["北东", "京北"]),
            ("대한민국 만세", vec!["한민", "국", "만세"], vec!["국만", "한국"]),
            ("สวัสดีครับ", vec!["สวัสดี", "ครับ", "ดี"], vec!["ครบ"]),
            ("北京东京", vec!["京东"], vec!["京北"]),
        ] {
            for query in found {
                assert!(finds(query, text), "{query} in {text}");
            }
            for query in missed {
                assert!(!finds(query, text), "{query} in {text}");
            }
        }
    }

    #[test]
    fn an_emoji_is_found_in_every_shade() {
        assert!(finds("👍", "👍🏽") && finds("👩", "👩‍💻") && finds("❤", "I ❤️ it") && finds("👍🏽", "ok👍🏽"));
        assert!(!finds("👍🏽", "👍") && !finds("👍", "👎"));
    }

    #[test]
    fn what_was_typed_ranks_before_what_only_begins_so_and_often_before_seldom() {
        let query = Query::parse("cat 猫");
        let score = |text: &str| query.answer(text).expect("an answer").score;
        let ascending = ["category 猫", "category cats 猫", "cat 猫", "cat 猫 猫", "cat category 猫猫 cat"];
        assert!(ascending.windows(2).all(|pair| score(pair[0]) < score(pair[1])));
        assert!(score(&format!("{} 猫", "cats ".repeat(2_000))) < score("cat 猫"));
    }

    #[test]
    fn highlights_are_what_was_looked_for_whatever_stands_before() {
        assert_eq!(shown("stras", "👨‍👩‍👧‍👦👍 Die Straße, die STRASSE"), ["Straß", "STRAS"]);
        assert_eq!(shown("東京 👍", "👍🏽は東京東京"), ["👍🏽", "東京", "東京"]);
        assert_eq!(shown("a ab", "abc"), ["ab"]);
        assert_eq!(shown("aa", "👍".repeat(3).as_str().to_owned().as_str().replace('👍', "aa ").as_str()), ["aa"; 3]);
        assert_eq!(shown("x", &"x ".repeat(500)).len(), MAX_HIGHLIGHTS);
        let answer = Query::parse("b").answer("😀 b").expect("an answer");
        assert_eq!(answer.highlights, [Highlight { start: 3, length: 1 }]);
    }

    #[test]
    fn a_query_without_a_word_asks_for_nothing_and_a_long_one_not_for_everything() {
        for nothing in ["", " ", "?!", "...", "\u{301}", "\u{200d}"] {
            let query = Query::parse(nothing);
            assert!(query.wanted().is_empty() && query.answer("a ?! \u{301}").is_none(), "{nothing:?}");
        }
        let words = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let query = Query::parse(&words);
        assert_eq!(query.wanted().len(), MAX_WANTED);
        assert!(query.answer(&words).is_some() && query.answer(&words[2..]).is_none(), "and all of them are compared");
    }

    /// Text of many scripts and of nothing sensible.
    fn any_text() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            "[a-zA-Z0-9]{1,90}",
            "[ .,;:'_-]{1,3}",
            "[àéîöüßşİıñçŁĐ]{1,8}",
            "[а-яА-Я]{1,8}",
            "[ά-ώΑ-Ω]{1,8}",
            "[ء-ي\u{64b}-\u{652}]{1,8}",
            "[א-ת]{1,6}",
            "[क-हा-्]{1,6}",
            "[一-龥]{1,8}",
            "[ぁ-ゖァ-ヺー]{1,8}",
            "[가-힣]{1,6}",
            "[ก-ฮะ-ู]{1,8}",
            "[ｦ-ﾟＡ-ｚ０-９]{1,6}",
            "[㌀-㏿①-⒛ﬀ-ﬆﷺ-﷼]{1,3}",
            "(👍|👍🏽|👨‍👩‍👧‍👦|🇩🇪|🇫|❤️|☀|1️⃣|🏽|€|→|\u{200d}|\u{fe0f}|\u{301}|\u{ad}){1,4}",
            "\\PC{1,6}",
            ".{0,4}",
        ];
        proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_text_is_found_by_each_of_its_words_and_by_their_beginnings(text in any_text()) {
            for token in tokens(&text) {
                let whole = &text[source(&token, 0, token.units.len() - 1).expect("a token has units")];
                prop_assert!(finds(whole, &text), "{whole:?} in {text:?}");
                let graphemes: Vec<_> = whole.grapheme_indices(true).map(|(start, it)| start + it.len()).collect();
                for end in graphemes {
                    let beginning = &whole[..end];
                    prop_assert!(finds(beginning, &text), "{beginning:?} in {text:?}");
                }
            }
        }

        #[test]
        fn several_words_of_a_text_find_it_in_any_order(text in any_text(), turn in 0_usize..12) {
            let tokens = tokens(&text);
            let whole = |token: &Token| source(token, 0, token.units.len() - 1).map(|source| &text[source]);
            let mut words: Vec<_> = tokens.iter().take(8).filter_map(whole).collect();
            if !words.is_empty() {
                let middle = turn % words.len();
                words.rotate_left(middle);
                prop_assert!(finds(&words.join(" "), &text), "{words:?} in {text:?}");
            }
        }

        #[test]
        fn nothing_makes_it_panic(query in any_text(), text in any_text(), noise in any::<String>()) {
            for (query, text) in [(&query, &text), (&noise, &text), (&text, &noise)] {
                let query = Query::parse(query);
                prop_assert!(query.wanted().len() <= MAX_WANTED);
                if let Some(answer) = query.answer(text) {
                    prop_assert!(!answer.highlights.is_empty());
                    let length = text.encode_utf16().count();
                    prop_assert!(answer.highlights.iter().all(|it| it.length > 0 && it.start + it.length <= length));
                    prop_assert!(answer.highlights.windows(2).all(|two| two[0].start + two[0].length <= two[1].start));
                }
            }
        }
    }
}
