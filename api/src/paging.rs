//! Pages of lists: how many, and from where.

use crate::{store::Part, text::MAX_EXACT};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rookery_shared::protocol::Problem;
use serde::{Serialize, de::DeserializeOwned};
use std::{cmp::Ordering, collections::HashMap};

/// Items of a page if nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// A place in a list, as clients carry it around without looking inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    field: &'static str,
    text: String,
}

impl Cursor {
    /// Writes a place.
    pub(crate) fn encode(place: &impl Serialize) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
    }

    /// Reads a place.
    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let json = URL_SAFE_NO_PAD.decode(&self.text).ok();
        let place = json.and_then(|json| serde_json::from_slice(&json).ok());
        place.ok_or_else(|| Problem::field(self.field, "is a cursor out of this list"))
    }
}

/// The parameters of a URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) HashMap<String, String>);

impl Params {
    /// The text of a parameter, empty if absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A number that may be absent.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        let parse = |text: &String| {
            let number = text.parse().ok().filter(|number| *number <= MAX_EXACT);
            number.ok_or_else(|| Problem::field(name, format!("is a number from 0 to {MAX_EXACT}")))
        };
        self.0.get(name).map(parse).transpose()
    }

    /// How many items are wanted.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let Some(text) = self.0.get("limit") else { return Ok(DEFAULT_LIMIT) };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| Problem::field("limit", format!("is a number from 1 to {MAX_LIMIT}")))
    }

    /// How many items are wanted, and from where.
    pub(crate) fn page(&self) -> Result<Limited, Problem> {
        let cursor = |field: &'static str| self.0.get(field).map(|text| Cursor { field, text: text.clone() });
        let page = Limited { limit: self.limit()?, after: cursor("after"), before: cursor("before") };
        if page.after.is_some() && page.before.is_some() {
            return Err(Problem::field("before", "is not used together with after"));
        }
        Ok(page)
    }
}

/// Items of a page, and the places of the next and the previous page.
type Shown<T, P> = (Vec<T>, Option<P>, Option<P>);

/// How many items are wanted, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Limited {
    pub(crate) limit: u32,
    pub(crate) after: Option<Cursor>,
    pub(crate) before: Option<Cursor>,
}

impl Limited {
    /// The part of a list that this page shows.
    pub(crate) fn part<K: DeserializeOwned>(&self) -> Result<Part<K>, Problem> {
        Ok(match (&self.after, &self.before) {
            (Some(after), _) => Part::After(after.decode()?),
            (None, Some(before)) => Part::Before(before.decode()?),
            (None, None) => Part::First,
        })
    }

    /// Cuts what was read, one more than a page shows, to the page; and whether there is more in this direction.
    pub(crate) fn cut<T>(&self, mut read: Vec<T>) -> (Vec<T>, bool) {
        let limit = self.limit as usize;
        let more = read.len() > limit;
        if self.before.is_some() {
            read.drain(..read.len().saturating_sub(limit));
        } else {
            read.truncate(limit);
        }
        (read, more)
    }

    /// Where to look for whether there is something in the other direction, beyond the first and the last item that are
    /// shown; nowhere if this page begins the list.
    pub(crate) fn other_side<K>(&self, ends: Option<(K, K)>) -> Option<Part<K>> {
        let (first, last) = ends?;
        match (&self.after, &self.before) {
            (Some(_), _) => Some(Part::Before(first)),
            (None, Some(_)) => Some(Part::After(last)),
            (None, None) => None,
        }
    }

    /// The places of the next and of the previous page: whether there is `more` in the direction that was read, and
    /// something `beyond` in the other one.
    pub(crate) fn places<K: Serialize>(
        &self,
        ends: Option<&(K, K)>,
        more: bool,
        beyond: bool,
    ) -> (Option<String>, Option<String>) {
        let (after, before) = if self.before.is_some() { (beyond, more) } else { (more, beyond) };
        let next = ends.filter(|_| after).map(|(_, last)| Cursor::encode(last));
        let prev = ends.filter(|_| before).map(|(first, _)| Cursor::encode(first));
        (next, prev)
    }

    /// The part of a whole list, in ascending order of `place`, that this page shows; with the places to go on at.
    pub(crate) fn of_ascending<T, P: Ord + Clone + DeserializeOwned>(
        &self,
        all: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> Result<Shown<T, P>, Problem> {
        self.of_ordered(all, place, Ord::cmp)
    }

    /// The same of a list in descending order.
    pub(crate) fn of_descending<T, P: Ord + Clone + DeserializeOwned>(
        &self,
        all: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> Result<Shown<T, P>, Problem> {
        self.of_ordered(all, place, |a, b| b.cmp(a))
    }

    fn of_ordered<T, P: Clone + DeserializeOwned>(
        &self,
        all: Vec<T>,
        place: impl Fn(&T) -> P,
        order: impl Fn(&P, &P) -> Ordering,
    ) -> Result<Shown<T, P>, Problem> {
        let limit = self.limit as usize;
        let start = if let Some(after) = &self.after {
            let after: P = after.decode()?;
            all.partition_point(|item| order(&place(item), &after).is_le())
        } else if let Some(before) = &self.before {
            let before: P = before.decode()?;
            all.partition_point(|item| order(&place(item), &before).is_lt()).saturating_sub(limit)
        } else {
            0
        };
        let end = match &self.before {
            Some(before) => {
                let before: P = before.decode()?;
                all.partition_point(|item| order(&place(item), &before).is_lt())
            }
            None => all.len().min(start.saturating_add(limit)),
        };
        let total = all.len();
        let shown: Vec<T> = all.into_iter().skip(start).take(end.saturating_sub(start)).collect();
        let next = shown.last().filter(|_| end < total).map(&place);
        let prev = shown.first().filter(|_| start > 0).map(&place);
        Ok((shown, next, prev))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: u32, name: &str, cursor: Option<&str>) -> Limited {
        let mut params = HashMap::from([("limit".to_owned(), limit.to_string())]);
        params.extend(cursor.map(|cursor| (name.to_owned(), cursor.to_owned())));
        Params(params).page().expect("in order")
    }

    #[test]
    fn a_list_is_walked_there_and_back_without_gaps() {
        let all: Vec<u32> = (0..10).rev().collect();
        let (mut cursor, mut walked) = (None, Vec::new());
        let mut last_prev = None;
        loop {
            let (items, next, prev) =
                page(3, "after", cursor.as_deref()).of_descending(all.clone(), |item| *item).expect("in order");
            walked.extend(items);
            last_prev = prev.or(last_prev);
            match next {
                Some(next) => cursor = Some(Cursor::encode(&next)),
                None => break,
            }
        }
        assert_eq!(walked, all);
        let mut cursor = last_prev.map(|prev| Cursor::encode(&prev));
        let mut back = vec![0];
        while let Some(before) = cursor {
            let (items, _, prev) =
                page(3, "before", Some(&before)).of_descending(all.clone(), |item| *item).expect("in order");
            back.extend(items.into_iter().rev());
            cursor = prev.map(|prev| Cursor::encode(&prev));
        }
        assert_eq!(back.into_iter().rev().collect::<Vec<_>>(), all);
    }

    #[test]
    fn an_ascending_list_goes_on_behind_its_cursor() {
        let all = || (0..5).collect::<Vec<u32>>();
        let after = Cursor::encode(&1_u32);
        let shown = page(2, "after", Some(&after)).of_ascending(all(), |item| *item).expect("in order");
        assert_eq!(shown, (vec![2, 3], Some(3), Some(2)));
        let before = Cursor::encode(&2_u32);
        let shown = page(2, "before", Some(&before)).of_ascending(all(), |item| *item).expect("in order");
        assert_eq!(shown, (vec![0, 1], Some(1), None));
    }

    #[test]
    fn limits_and_cursors_out_of_nowhere_are_refused() {
        for limit in ["0", "201", "-1", "many", ""] {
            let params = Params(HashMap::from([("limit".to_owned(), limit.to_owned())]));
            assert_eq!(params.page().expect_err(limit).errors[0].field, "limit");
        }
        let cursor = Cursor { field: "after", text: "???".into() };
        assert!(cursor.decode::<u64>().is_err());
    }
}
