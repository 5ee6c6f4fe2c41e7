//! Changes JSON so that it stays JSON.

use serde_json::{Map, Value, json};

/// `json` with one of its values changed; `None` when it is no JSON.
pub(crate) fn mutate(json: &[u8], seed: u32) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let mut random = Random(u64::from(seed) << 32 | 0x9e37_79b9);
    let mut found = Vec::new();
    pointers(&value, "", &mut found);
    let pointer = random.one_of(&found)?;
    let other = random.one_of(&found).and_then(|pointer| value.pointer(pointer)).cloned();
    change(value.pointer_mut(pointer)?, other, &mut random);
    serde_json::to_vec(&value).ok()
}

/// The JSON pointers of everything in a value.
fn pointers(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                pointers(inner, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                pointers(inner, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn change(value: &mut Value, other: Option<Value>, random: &mut Random) {
    match (value, random.below(4)) {
        (Value::String(text), 0 | 1) => mutate_text(text),
        (Value::Object(map), 0) => drop(random.key_of(map).and_then(|key| map.remove(&key))),
        (Value::Object(map), 1) => rename(map, random),
        (Value::Array(list), 0) => drop(list.pop()),
        (Value::Array(list), 1) => list.extend(other),
        (value, 2) => *value = other.unwrap_or_default(),
        (value, _) => *value = strange(random),
    }
}

fn rename(map: &mut Map<String, Value>, random: &mut Random) {
    if let Some(mut key) = random.key_of(map)
        && let Some(value) = map.remove(&key)
    {
        mutate_text(&mut key);
        map.insert(key, value);
    }
}

/// libFuzzer's own way with bytes, which knows the dictionary.
fn mutate_text(text: &mut String) {
    let size = text.len();
    let mut bytes = text.clone().into_bytes();
    bytes.resize(size + 64, 0);
    let most = bytes.len();
    let size = libfuzzer_sys::fuzzer_mutate(&mut bytes, size, most);
    bytes.truncate(size);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

fn strange(random: &mut Random) -> Value {
    let values = [
        Value::Null,
        json!(true),
        json!("true"),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("\u{202e}\u{1b}\"<\\"),
        json!("x".repeat(700)),
        json!("+10000-01-01T00:00:00Z"),
        json!("2016-12-31T23:59:60Z"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"items": {"items": {}}}),
    ];
    random.one_of(&values).cloned().unwrap_or_default()
}

/// Enough chance for choosing among a few, and the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % end.max(1)
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    fn key_of(&mut self, map: &Map<String, Value>) -> Option<String> {
        map.keys().nth(self.below(map.len())).cloned()
    }
}
