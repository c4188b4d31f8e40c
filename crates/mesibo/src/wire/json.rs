//! JSON values, read in one pass: what is not promised is skipped while it is read, so that a
//! reply takes memory in proportion to what is kept of it.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// How many items of a list are kept. Mesibo gives at most 20.
const MAX_ITEMS: usize = 50;

/// A JSON value. An object is read as a `T`, and an array is skipped.
pub(super) enum Json<'a, T> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array,
    Object(T),
}

/// A JSON value that is a scalar, or else of no use.
pub(super) type Scalar<'a> = Json<'a, Skipped>;

/// An object, read field by field. A field that comes twice is read twice, and the last counts.
pub(super) trait Fields: Default {
    /// Reads the value of a field, or [skips](skip) it.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error>;
}

/// An item of a list.
pub(super) trait Item: Fields {
    /// The item that a value is, or `None` if it is no such item.
    fn from_json(json: Json<Self>) -> Option<Self>;
}

/// A list: an array, or a map of index to item, in the order of the indices. null is an empty
/// list: PHP writes empty maps and empty lists alike. Of more than [`MAX_ITEMS`] items the
/// first are kept, and the rest is skipped.
pub(super) enum List<T> {
    Items(Vec<T>),
    /// One of the values in the list is no such item.
    Mixed,
    /// The value is no list.
    Other,
}

/// The name of a field, which is borrowed from the reply unless it has escapes.
struct Name<'a>(Cow<'a, str>);

/// An object of which no field is read.
#[derive(Default)]
pub(super) struct Skipped;

/// Reads any JSON value as a `V`.
struct Reader<V>(PhantomData<V>);

/// Skips the value of a field.
pub(super) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(drop)
}

/// Skips the rest of an array.
fn skip_array<'de, A: SeqAccess<'de>>(mut array: A) -> Result<(), A::Error> {
    while array.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Skips the rest of an object.
fn skip_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl Fields for Skipped {
    fn read<'de, A: MapAccess<'de>>(&mut self, _: &str, object: &mut A) -> Result<(), A::Error> {
        skip(object)
    }
}

impl<T> Json<'_, T> {
    /// The object that a value is, if it is one.
    pub(super) fn into_object(self) -> Option<T> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl<'de, T: Fields> Deserialize<'de> for Json<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData::<Self>))
    }
}

impl<'de, T: Item> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData::<Self>))
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reader(PhantomData::<Self>))
    }
}

impl<'de, T: Fields> Visitor<'de> for Reader<Json<'de, T>> {
    type Value = Json<'de, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Self::Value, A::Error> {
        skip_array(array)?;
        Ok(Json::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut fields = T::default();
        while let Some(Name(name)) = object.next_key()? {
            fields.read(&name, &mut object)?;
        }
        Ok(Json::Object(fields))
    }
}

impl<'de, T: Item> Visitor<'de> for Reader<List<T>> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(List::Items(Vec::new()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < MAX_ITEMS
            && let Some(json) = array.next_element()?
        {
            let Some(item) = T::from_json(json) else {
                skip_array(array)?;
                return Ok(List::Mixed);
            };
            items.push(item);
        }
        skip_array(array)?;
        Ok(List::Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut items = BTreeMap::new();
        while let Some(Name(index)) = object.next_key()? {
            let Ok(index) = index.parse::<u64>() else {
                skip(&mut object)?;
                skip_object(object)?;
                return Ok(List::Other);
            };
            let is_full = items.len() >= MAX_ITEMS;
            if is_full
                && items
                    .last_key_value()
                    .is_some_and(|(&last, _)| last < index)
            {
                skip(&mut object)?;
                continue;
            }
            items.insert(index, T::from_json(object.next_value()?));
            if items.len() > MAX_ITEMS {
                items.pop_last();
            }
        }
        let items = items.into_values().collect::<Option<_>>();
        Ok(items.map_or(List::Mixed, List::Items))
    }
}

impl<'de> Visitor<'de> for Reader<Name<'de>> {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Number(Option<u64>);

    impl Fields for Number {
        fn read<'de, A: MapAccess<'de>>(
            &mut self,
            _: &str,
            object: &mut A,
        ) -> Result<(), A::Error> {
            skip(object)
        }
    }

    impl Item for Number {
        fn from_json(json: Json<Self>) -> Option<Self> {
            match json {
                Json::Number(number) => Some(Self(number.as_u64())),
                _ => None,
            }
        }
    }

    fn items(json: &str) -> Option<Vec<u64>> {
        match serde_json::from_str::<List<Number>>(json).unwrap() {
            List::Items(items) => items.into_iter().map(|Number(number)| number).collect(),
            List::Mixed | List::Other => None,
        }
    }

    #[test]
    fn lists_come_as_arrays_or_as_maps_in_the_order_of_their_indices() {
        assert_eq!(items("[7, 8]"), Some(vec![7, 8]));
        let map = r#"{"10": 3, "9": 2, "0": 1}"#;
        assert_eq!(items(map), Some(vec![1, 2, 3]));
        for empty in ["[]", "{}", "null"] {
            assert_eq!(items(empty), Some(vec![]), "{empty}");
        }
        for other in [
            r#""1,2""#,
            "1",
            "true",
            r#"{"uid": 1}"#,
            r#"{"0": 1, "b": 2}"#,
        ] {
            let list = serde_json::from_str::<List<Number>>(other).unwrap();
            assert!(matches!(list, List::Other), "{other}");
        }
        for mixed in ["[1, {}]", r#"{"0": []}"#] {
            let list = serde_json::from_str::<List<Number>>(mixed).unwrap();
            assert!(matches!(list, List::Mixed), "{mixed}");
        }
    }

    #[test]
    fn of_a_long_list_the_first_fifty_items_are_kept() {
        let first: Vec<_> = (0..50).collect();
        let numbers: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(
            items(&format!("[{}]", numbers.join(","))),
            Some(first.clone())
        );
        // Neither the order nor what is behind the fiftieth counts.
        let mut pairs: Vec<_> = numbers.iter().map(|n| format!(r#""{n}": {n}"#)).collect();
        pairs.push(r#""1000": {}"#.into());
        for _ in 0..2 {
            assert_eq!(
                items(&format!("{{{}}}", pairs.join(","))),
                Some(first.clone())
            );
            pairs.reverse();
        }
        assert_eq!(
            items(&format!("[{}, {{}}]", numbers[..50].join(","))),
            Some(first)
        );
    }
}
