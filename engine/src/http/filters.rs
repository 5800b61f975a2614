//! The parameter `filters` of lists, prunes and events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;
use time::OffsetDateTime;

use super::error::ApiError;
use crate::container::moment;

/// Names of filters with their values. Values of one name are alternatives; names must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    fields: BTreeMap<String, BTreeSet<String>>,
}

/// Both forms that clients send.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Set(BTreeMap<String, bool>),
    List(BTreeSet<String>),
}

impl Filters {
    /// Reads `{"name": {"value": true}}`, and `{"name": ["value"]}` of older clients.
    ///
    /// # Errors
    ///
    /// 400 if it is neither.
    pub fn parse(json: &str) -> Result<Self, ApiError> {
        let fields: BTreeMap<String, Values> = serde_json::from_str(json)
            .map_err(|error| ApiError::invalid(format!("invalid filter: {error}")))?;
        let values = |values| match values {
            Values::Set(set) => {
                set.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect()
            }
            Values::List(list) => list,
        };
        Ok(Self { fields: fields.into_iter().map(|(name, set)| (name, values(set))).collect() })
    }

    /// Refuses names that are not in `accepted`.
    pub(super) fn only(&self, accepted: &[&str]) -> Result<(), ApiError> {
        match self.fields.keys().find(|name| !accepted.contains(&name.as_str())) {
            Some(name) => Err(ApiError::invalid(format!("invalid filter '{name}'"))),
            None => Ok(()),
        }
    }

    /// Whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The values of `name`.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Whether `name` is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|values| !values.is_empty())
    }

    /// Whether `name` is not there, or one of its values satisfies `matches`.
    pub fn any(&self, name: &str, matches: impl FnMut(&str) -> bool) -> bool {
        !self.has(name) || self.values(name).any(matches)
    }

    /// Whether `value` is one of those of `name`, or `name` is not there.
    #[must_use]
    pub fn exact(&self, name: &str, value: &str) -> bool {
        self.any(name, |wanted| wanted == value)
    }

    /// The values of `filter` as names or regular expressions that fit a part of one.
    #[must_use]
    pub fn patterns(&self, filter: &str) -> Patterns {
        let expression = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_SIZE).build().ok();
        let all = self.values(filter).map(|text| (text.to_owned(), expression(text)));
        Patterns(all.collect())
    }

    /// A filter that is on or off.
    ///
    /// # Errors
    ///
    /// 400 for other values, or both.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let mut values = self.values(name);
        let (first, second) = (values.next(), values.next());
        let flag = match (first, second) {
            (None, _) => None,
            (Some("1" | "true" | "True" | "t" | "T" | "TRUE"), None) => Some(true),
            (Some("0" | "false" | "False" | "f" | "F" | "FALSE"), None) => Some(false),
            (Some(value), _) => {
                return Err(ApiError::invalid(format!("invalid filter '{name}={value}'")));
            }
        };
        Ok(flag)
    }

    /// The moment of `until`: one of the calendar, or so long ago (`24h`, `1h30m`).
    ///
    /// # Errors
    ///
    /// 400 if it is neither, or there is more than one.
    pub fn until(&self) -> Result<Option<OffsetDateTime>, ApiError> {
        let mut values = self.values("until");
        let (Some(text), more) = (values.next(), values.next()) else { return Ok(None) };
        let ago = || ago(text).and_then(|ago| moment::now().checked_sub(ago.try_into().ok()?));
        let until = moment::parse(text).or_else(ago).filter(|_| more.is_none());
        until.map(Some).ok_or_else(|| ApiError::invalid(format!("invalid filter 'until={text}'")))
    }

    /// Whether `labels` hold all of the filter `name` (`label`: `key`, or `key=value`).
    #[must_use]
    pub fn labels(&self, name: &str, labels: &HashMap<String, String>) -> bool {
        self.values(name).all(|wanted| has_label(labels, wanted))
    }

    /// As [`Self::labels`] for `label`, and that none of `label!` is there.
    #[must_use]
    pub fn labels_for_prune(&self, labels: &HashMap<String, String>) -> bool {
        self.labels("label", labels)
            && !self.values("label!").any(|wanted| has_label(labels, wanted))
    }
}

/// Names that are wanted. One that is no regular expression fits itself only.
#[derive(Clone, Debug)]
pub struct Patterns(Vec<(String, Option<Regex>)>);

/// Bytes that a regular expression may take.
const PATTERN_SIZE: usize = 1 << 20;

impl Patterns {
    /// Whether one of them fits `name`, or there is none.
    #[must_use]
    pub fn fit(&self, name: &str) -> bool {
        let fits = |(text, expression): &(String, Option<Regex>)| {
            text == name || expression.as_ref().is_some_and(|it| it.is_match(name))
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

/// Go's way to write durations, in whole numbers.
fn ago(text: &str) -> Option<Duration> {
    let mut left = text;
    let mut seconds = 0_u64;
    while !left.is_empty() {
        let digits = left.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = left.split_at(digits);
        let (unit, length) = [("h", 3600), ("m", 60), ("s", 1)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        let number: u64 = number.parse().ok()?;
        seconds = seconds.checked_add(number.checked_mul(length)?)?;
        left = rest.strip_prefix(unit)?;
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

fn has_label(labels: &HashMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let map = Filters::parse(r#"{"label":{"a=b":true,"c":true,"d":false}}"#).unwrap();
        let list = Filters::parse(r#"{"label":["a=b","c"]}"#).unwrap();
        assert_eq!(map, list);
    }

    #[test]
    fn unknown_name_is_refused() {
        let filters = Filters::parse(r#"{"colour":["red"]}"#).unwrap();
        assert_eq!(filters.only(&["label"]).unwrap_err().message(), "invalid filter 'colour'");
    }

    #[test]
    fn all_labels_must_be_there_with_their_values() {
        let labels = HashMap::from([("a".to_owned(), "b=c".to_owned())]);
        let holds = |json| Filters::parse(json).unwrap().labels("label", &labels);
        assert!(holds(r#"{"label":["a"]}"#));
        assert!(holds(r#"{"label":["a=b=c"]}"#));
        assert!(!holds(r#"{"label":["a=b"]}"#));
        assert!(!holds(r#"{"label":["a","z"]}"#));
    }

    #[test]
    fn flag_with_both_values_is_refused() {
        let flag = |json| Filters::parse(json).unwrap().flag("dangling");
        assert_eq!(flag(r#"{"dangling":["true"]}"#), Ok(Some(true)));
        assert_eq!(flag(r#"{"dangling":{"0":true}}"#), Ok(Some(false)));
        assert_eq!(flag("{}"), Ok(None));
        assert!(flag(r#"{"dangling":["true","false"]}"#).is_err());
        assert!(flag(r#"{"dangling":["maybe"]}"#).is_err());
    }

    #[test]
    fn names_are_regular_expressions() {
        let passes = |json, name| Filters::parse(json).unwrap().patterns("name").fit(name);
        assert!(passes(r#"{"name":["^web_[0-9]+$"]}"#, "web_12"));
        assert!(passes(r#"{"name":["^(web|db)_1$"]}"#, "db_1"));
        assert!(passes(r#"{"name":["web("]}"#, "web("));
        assert!(!passes(r#"{"name":["web("]}"#, "web"));
        assert!(passes("{}", "web"));
        assert!(passes(r#"{"name":["eb"]}"#, "web_1"));
        assert!(passes(r#"{"name":["^web_1$"]}"#, "web_1"));
        assert!(!passes(r#"{"name":["^eb"]}"#, "web_1"));
        assert!(!passes(r#"{"name":["web$"]}"#, "web_1"));
    }

    #[test]
    fn until_is_a_moment_or_a_while_ago() {
        let until =
            |text: &str| Filters::parse(&format!(r#"{{"until":["{text}"]}}"#)).unwrap().until();
        assert_eq!(until("1000").unwrap().unwrap().unix_timestamp(), 1000);
        let ago = until("1h30m").unwrap().unwrap();
        assert_eq!((moment::now() - ago).whole_minutes(), 90);
        for text in ["", "h", "1x", "1h2", "99999999999999999999h"] {
            assert!(until(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_map_is_refused() {
        for json in ["[]", "{\"a\":1}", "{\"a\":[1]}", "nonsense", "{\"a\":{\"b\":2}}"] {
            assert!(Filters::parse(json).is_err(), "{json}");
        }
    }
}
