//! What a template may call, each call counted against a budget.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most lists in lists that are stored.
const DEPTH_LIMIT: usize = 16;
/// What a value costs besides its text, bytes.
const VALUE_BYTES: usize = 32;
/// Nested calls of macros and the like; a macro counts for four or so.
const RECURSION_LIMIT: usize = 100;

/// Bytes that a rendering may yet make or look through.
#[derive(Clone)]
struct Budget(Arc<AtomicU64>);

impl Budget {
    fn take(&self, bytes: usize) -> Result<(), Error> {
        let taken = |left: u64| left.checked_sub(bytes as u64);
        match self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(invalid("the template makes more text than it may")),
        }
    }

    /// Counts a value and all in it.
    fn weigh(&self, value: &Value, keep: Keep, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_LIMIT {
            return Err(invalid("lists are nested too deep"));
        }
        self.take(VALUE_BYTES + value.as_str().map_or(0, str::len))?;
        let strict = matches!(keep, Keep::Flat);
        match value.kind() {
            // An object that can be changed could be put into itself.
            ValueKind::Seq | ValueKind::Map if is_namespace(value) => match strict {
                true => Err(invalid("a namespace cannot be stored in a value")),
                false => Ok(()),
            },
            ValueKind::Seq => value
                .try_iter()?
                .try_for_each(|item| self.weigh(&item, keep, depth + 1)),
            ValueKind::Map => value.try_iter()?.try_for_each(|key| {
                self.weigh(&key, keep, depth + 1)?;
                self.weigh(&value.get_item(&key)?, keep, depth + 1)
            }),
            // These compute what they hold as it is asked for, from others of the kind.
            ValueKind::Iterable | ValueKind::Plain if strict && depth > 0 => {
                Err(invalid("this kind of value cannot be stored in a value"))
            }
            _ => Ok(()),
        }
    }

    /// The value, counted; one that computes what it holds is made a list of it, so that
    /// none is made of many others.
    fn kept(&self, value: Value, keep: Keep) -> Result<Value, Error> {
        let value = match value.kind() {
            ValueKind::Iterable => {
                let items: Result<Vec<Value>, Error> = value
                    .try_iter()?
                    .map(|item| self.take(VALUE_BYTES).map(|()| item))
                    .collect();
                Value::from(items?)
            }
            _ => value,
        };
        self.weigh(&value, keep, 0)?;
        Ok(value)
    }

    fn list(&self, a: &Value, b: &Value) -> Result<Value, Error> {
        let mut items = Vec::new();
        for item in a.try_iter()?.chain(b.try_iter()?) {
            self.take(VALUE_BYTES)?;
            items.push(item);
        }
        Ok(Value::from(items))
    }

    fn text(&self, text: String) -> Result<Value, Error> {
        self.take(text.len())?;
        Ok(Value::from(text))
    }
}

#[derive(Clone, Copy)]
enum Keep {
    /// In a variable.
    Seen,
    /// In another value, which may live long.
    Flat,
}

fn is_namespace(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|object| object.type_name().contains("amespace"))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// What a template said with `raise_exception`.
pub(super) type Raised = Arc<Mutex<Option<String>>>;

/// The environment of one rendering: `budget` bytes, `fuel` instructions.
pub(super) fn environment<'a>(budget: u64, fuel: u64, raised: Raised) -> Environment<'a> {
    let budget = Budget(Arc::new(AtomicU64::new(budget)));
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(RECURSION_LIMIT);
    // Those whose results could be far larger than what they are given, or that nothing needs.
    for name in [
        "batch",
        "chain",
        "dictsort",
        "format",
        "groupby",
        "lines",
        "pprint",
        "slice",
        "urlencode",
        "zip",
    ] {
        env.remove_filter(name);
    }
    for name in ["debug", "dict"] {
        env.remove_global(name);
    }

    let b = budget.clone();
    env.set_formatter(move |out, _, value| {
        let text = text_of(&b, value)?;
        b.take(text.len())?;
        out.write_str(&text).map_err(Error::from)
    });
    let b = budget.clone();
    env.set_unknown_method_callback(move |state, value, name, args| {
        method(&b, state, value, name, args)
    });
    let b = budget.clone();
    env.add_filter("rg_seen", move |value: Value| b.kept(value, Keep::Seen));
    let b = budget.clone();
    env.add_filter("rg_flat", move |value: Value| b.kept(value, Keep::Flat));
    let b = budget.clone();
    env.add_filter("rg_cat", move |left: Value, right: Value| {
        let (left, right) = (text_of(&b, &left)?, text_of(&b, &right)?);
        b.text(left + &right)
    });
    let b = budget.clone();
    env.add_filter("rg_add", move |left: Value, right: Value| {
        add(&b, &left, &right)
    });
    let b = budget.clone();
    env.add_filter("rg_mul", move |left: Value, right: Value| {
        mul(&b, &left, &right)
    });
    let b = budget.clone();
    env.add_filter("replace", move |text: String, old: String, new: String| {
        replace(&b, &text, &old, &new, None)
    });
    let b = budget.clone();
    env.add_filter("join", move |items: Value, glue: Option<String>| {
        join(&b, &items, &glue.unwrap_or_default())
    });
    let b = budget.clone();
    env.add_filter(
        "indent",
        move |text: String, width: Option<usize>, first: Option<bool>| {
            indent(&b, &text, width.unwrap_or(4), first.unwrap_or(false))
        },
    );
    let b = budget.clone();
    env.add_filter(
        "tojson",
        move |value: Value, args: Rest<Value>, options: Kwargs| {
            let indent: Option<usize> = match args.first() {
                Some(first) => first.as_usize(),
                None => options.get("indent")?,
            };
            // Others (`ensure_ascii`, `sort_keys` …) are as Hugging Face has them.
            let mut out = String::new();
            json(&b, &value, indent.map(|n| n.min(16)), 0, &mut out)?;
            Ok::<_, Error>(out)
        },
    );

    env.add_function("raise_exception", move |message: Value| {
        let message: String = message.to_string().chars().take(400).collect();
        *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.clone());
        Err::<Value, Error>(Error::new(ErrorKind::InvalidOperation, message))
    });
    env.add_function("strftime_now", |format: String| strftime(&format));
    let b = budget;
    env.add_function("namespace", move |values: Option<Value>| {
        if let Some(values) = &values {
            b.weigh(values, Keep::Flat, 0)?;
        }
        minijinja::functions::namespace(values)
    });
    env
}

/// A value as Python prints it.
fn text_of(budget: &Budget, value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::None => "None".into(),
        ValueKind::Bool if value.is_true() => "True".into(),
        ValueKind::Bool => "False".into(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Number => value.to_string(),
        _ => {
            budget.weigh(value, Keep::Flat, 0)?;
            value.to_string()
        }
    })
}

fn add(budget: &Budget, left: &Value, right: &Value) -> Result<Value, Error> {
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        budget.take(left.len() + right.len())?;
        return Ok(Value::from([left, right].concat()));
    }
    if is_list(left) && is_list(right) {
        return budget.list(left, right);
    }
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64())
        && let Some(sum) = left.checked_add(right)
    {
        return Ok(Value::from(sum));
    }
    match (f64::try_from(left.clone()), f64::try_from(right.clone())) {
        (Ok(left), Ok(right)) => Ok(Value::from(left + right)),
        _ => Err(invalid("+ joins two texts, two lists or two numbers")),
    }
}

fn mul(budget: &Budget, left: &Value, right: &Value) -> Result<Value, Error> {
    let (text, times) = match left.as_str() {
        Some(text) => (Some(text), right),
        None => (right.as_str(), left),
    };
    if let (Some(text), Some(times)) = (text, times.as_i64()) {
        // Fewer than no times is none, in Python.
        let times = usize::try_from(times).unwrap_or(0);
        budget.take(text.len().saturating_mul(times))?;
        return Ok(Value::from(text.repeat(times)));
    }
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64())
        && let Some(product) = left.checked_mul(right)
    {
        return Ok(Value::from(product));
    }
    match (f64::try_from(left.clone()), f64::try_from(right.clone())) {
        (Ok(left), Ok(right)) => Ok(Value::from(left * right)),
        _ => Err(invalid("* multiplies two numbers, or repeats a text")),
    }
}

fn replace(
    budget: &Budget,
    text: &str,
    old: &str,
    new: &str,
    most: Option<usize>,
) -> Result<Value, Error> {
    let most = most.unwrap_or(usize::MAX);
    let places = text.matches(old).take(most).count();
    budget.take(text.len())?;
    budget.take(places.saturating_mul(new.len()))?;
    Ok(Value::from(text.replacen(old, new, most)))
}

fn join(budget: &Budget, items: &Value, glue: &str) -> Result<Value, Error> {
    let mut out = String::new();
    for (number, item) in items.try_iter()?.enumerate() {
        let item = text_of(budget, &item)?;
        let glue = if number > 0 { glue } else { "" };
        budget.take(glue.len() + item.len() + 1)?;
        out += glue;
        out += &item;
    }
    Ok(Value::from(out))
}

/// Each line but an empty one, and the first only if asked, after `width` spaces.
fn indent(budget: &Budget, text: &str, width: usize, first: bool) -> Result<Value, Error> {
    let lines = text.matches('\n').count() + 1;
    budget.take(text.len())?;
    budget.take(lines.saturating_mul(width))?;
    let pad = " ".repeat(width);
    let mut out = String::new();
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        if !line.is_empty() && (number > 0 || first) {
            out += &pad;
        }
        out += line;
    }
    Ok(Value::from(out))
}

/// JSON as Python's `json.dumps` lays it out, with `ensure_ascii` off.
fn json(
    budget: &Budget,
    value: &Value,
    indent: Option<usize>,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    if depth > DEPTH_LIMIT {
        return Err(invalid("lists are nested too deep for JSON"));
    }
    let begin = out.len();
    let line = |depth: usize, out: &mut String| {
        if let Some(width) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => out.push_str("null"),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let is_map = value.kind() == ValueKind::Map;
            out.push(if is_map { '{' } else { '[' });
            let mut any = false;
            for item in value.try_iter()? {
                budget.take(VALUE_BYTES)?;
                if any {
                    out.push_str(comma);
                }
                any = true;
                line(depth + 1, out);
                if is_map {
                    json(budget, &Value::from(item.to_string()), None, depth + 1, out)?;
                    out.push_str(": ");
                    json(budget, &value.get_item(&item)?, indent, depth + 1, out)?;
                } else {
                    json(budget, &item, indent, depth + 1, out)?;
                }
            }
            if any {
                line(depth, out);
            }
            out.push(if is_map { '}' } else { ']' });
        }
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let _ = write!(out, "{value}");
        }
        _ => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let text = serde_json::to_string(&text).map_err(|_| invalid("no JSON"))?;
            out.push_str(&text);
        }
    }
    // What is inside was counted too: a text costs as often as it is nested.
    budget.take(out.len() - begin)
}

fn method(
    budget: &Budget,
    state: &State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    for value in std::iter::once(value).chain(args) {
        budget.weigh(value, Keep::Seen, 0)?;
    }
    let text = |at: usize| args.get(at).and_then(Value::as_str);
    let result = match (value.as_str(), name) {
        (Some(all), "replace") => {
            let (Some(old), Some(new)) = (text(0), text(1)) else {
                return Err(invalid("replace needs two texts"));
            };
            // As in Python, a negative count is no limit.
            let most = args.get(2).and_then(Value::as_i64);
            let most = most.and_then(|n| usize::try_from(n).ok());
            replace(budget, all, old, new, most)
        }
        (Some(all), "count") => match text(0) {
            Some("") => Ok(Value::from(all.chars().count() + 1)),
            Some(part) => Ok(Value::from(all.matches(part).count())),
            None => Err(invalid("count needs a text")),
        },
        (Some(glue), "join") => match args {
            [items] => join(budget, items, glue),
            _ => Err(invalid("join needs a list")),
        },
        // Its format can ask for any width.
        (Some(_), "format") => Err(Error::from(ErrorKind::UnknownMethod)),
        _ => pycompat::unknown_method_callback(state, value, name, args),
    }?;
    budget.weigh(&result, Keep::Seen, 0)?;
    Ok(result)
}

/// The 26th of July 2024, noon, as `strftime` writes it: the day that Llama 3's template
/// takes where it is told none. Nothing but the conversation goes into a prompt, so the same
/// conversation gives the same one on any day.
fn strftime(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut chars = format.chars().take(256);
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let letter = match chars.next() {
            // `%-d`: without a leading zero; no number of this date but the month has one.
            Some('-') => match chars.next() {
                Some('m') => {
                    out.push('7');
                    continue;
                }
                other => other,
            },
            other => other,
        };
        out += match letter {
            Some('d' | 'e') => "26",
            Some('m') => "07",
            Some('y') => "24",
            Some('Y') => "2024",
            Some('b' | 'h') => "Jul",
            Some('B') => "July",
            Some('a') => "Fri",
            Some('A') => "Friday",
            Some('H' | 'I') => "12",
            Some('M' | 'S') => "00",
            Some('p') => "PM",
            Some('j') => "208",
            Some('F') => "2024-07-26",
            Some('T') => "12:00:00",
            Some('Z') => "UTC",
            Some('%') => "%",
            _ => return Err(invalid("a part of strftime's format is not supported")),
        };
    }
    Ok(out)
}
