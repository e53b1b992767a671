//! A person in JSON: found by what a key says of its value.

use serde_json::{Map, Value};

use super::{Eraser, MASK, Named};

/// What a number would be that stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// A person's.
    People,
    /// Something else's: a group's, say.
    Others,
    /// Nothing told.
    Unsaid,
}

/// Whose an object is.
enum Owner {
    Them,
    Somebody,
    Nobody,
}

/// What an entry of a person keeps: what was done, and to what else.
const KEPT: [&str; 13] = [
    "field",
    "change",
    "op",
    "path",
    "operation",
    "group_id",
    "group_name",
    "organization_id",
    "workspace_id",
    "project_id",
    "groups",
    "workspaces",
    "at",
];

const NAMES: [&str; 3] = ["name", "label", "fullname"];

const NUMBERS: [&str; 3] = ["user_id", "uid", "id"];

// === impl Context ===

impl Context {
    /// What a word, such as a key or a patch's path, says of what stands below it.
    pub(super) fn within(self, word: &str) -> Self {
        let word = word.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|part| word.contains(part));
        if has(&["user", "member", "person", "people", "uid"]) {
            Self::People
        } else if has(&[
            "group",
            "workspace",
            "organization",
            "project",
            "role",
            "client",
        ]) {
            Self::Others
        } else {
            self
        }
    }

    // A patch and a change say in a value what the values beside it are about.
    fn of(self, object: &Map<String, Value>) -> Self {
        let said = ["field", "path"]
            .iter()
            .filter_map(|key| object.get(*key)?.as_str());
        said.fold(self, Self::within)
    }
}

/// Takes the person out; tells whether they were there.
pub(super) fn erase(eraser: &Eraser, value: &mut Value, context: Context) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => {
            let theirs = number.as_i64() == Some(eraser.person.id);
            let erased = theirs && is_person(eraser, context);
            if erased {
                *value = Value::Null;
            }
            erased
        }
        Value::String(text) if *text == eraser.digits => {
            let erased = is_person(eraser, context);
            if erased {
                *value = Value::Null;
            }
            erased
        }
        Value::String(text) => match eraser.text(text, false) {
            Some(masked) => {
                *text = match eraser.text(&masked, false) {
                    Some(_) => MASK.to_owned(),
                    None => masked,
                };
                true
            }
            None => false,
        },
        Value::Array(values) => {
            let mut erased = false;
            for value in values {
                erased |= erase(eraser, value, context);
            }
            erased
        }
        Value::Object(object) => {
            let context = context.of(object);
            let owner = owner(&eraser.person, object, context);
            if matches!(owner, Owner::Them) {
                blank(eraser, object);
                return true;
            }
            let mut erased = false;
            for (key, value) in object.iter_mut() {
                // Somebody else of the same name stays.
                let theirs = matches!(owner, Owner::Somebody) && NAMES.contains(&&**key);
                if !theirs {
                    erased |= erase(eraser, value, context.within(key));
                }
            }
            let named = |key: &String| {
                let number = *key == eraser.digits && is_person(eraser, context);
                number || eraser.text(key, false).is_some()
            };
            if object.keys().any(named) {
                let renamed = std::mem::take(object).into_iter().map(|(key, value)| {
                    let key = if named(&key) { MASK.to_owned() } else { key };
                    (key, value)
                });
                *object = renamed.collect();
                erased = true;
            }
            erased
        }
    }
}

/// Takes over names and addresses that stand beside the person's number.
pub(super) fn gather(person: &mut Named, value: &Value, context: Context) {
    match value {
        Value::Array(values) => {
            for value in values {
                gather(person, value, context);
            }
        }
        Value::Object(object) => {
            let context = context.of(object);
            if matches!(owner(person, object, context), Owner::Them) {
                let text = |key: &&str| object.get(*key).and_then(Value::as_str);
                for name in NAMES.iter().filter_map(text) {
                    person.extend(Some(name), None, None);
                }
                person.extend(None, text(&"email"), None);
            }
            for (key, value) in object {
                gather(person, value, context.within(key));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_person(eraser: &Eraser, context: Context) -> bool {
    match context {
        Context::People => true,
        Context::Others => false,
        Context::Unsaid => eraser.is_distinctive(),
    }
}

fn owner(person: &Named, object: &Map<String, Value>, context: Context) -> Owner {
    // A group with a list of people is not a person, whoever it says that it was made by.
    if object.contains_key("users") {
        return Owner::Nobody;
    }
    let email = object.get("email").and_then(Value::as_str);
    if email.is_some_and(|email| person.has_email(email)) {
        return Owner::Them;
    }
    for key in NUMBERS {
        let counts = key != "id" || context == Context::People;
        let number = object.get(key).filter(|_| counts).and_then(|value| {
            let text = value.as_str().and_then(|text| text.parse().ok());
            value.as_i64().or(text)
        });
        match number {
            Some(id) if id == person.id => return Owner::Them,
            Some(_) => return Owner::Somebody,
            None => {}
        }
    }
    Owner::Nobody
}

// An entry keeps its place and says nothing of the person.
fn blank(eraser: &Eraser, object: &mut Map<String, Value>) {
    for (key, value) in object.iter_mut() {
        if NAMES.contains(&&**key) {
            *value = Value::from("redacted");
        } else if KEPT.contains(&&**key) {
            erase(eraser, value, Context::Others);
        } else if !value.is_boolean() {
            *value = Value::Null;
        }
    }
}
