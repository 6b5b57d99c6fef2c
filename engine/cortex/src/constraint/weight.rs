//! How many parts a schema has once its combinations are multiplied out.
//!
//! llguidance intersects what stands beside `allOf`, `anyOf`, `oneOf`, `enum`, `const` and
//! `$ref`, option by option, and copies what is referred to wherever it is intersected. Few
//! bytes of schema can so become gigabytes; its own limit counts steps, not what they copy.

use super::limits::MAX_PARTS;
use super::schema::{Schemas, count, keywords};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Refuses references to nothing, and schemas with too many parts.
pub(super) fn check(schemas: &Schemas<'_>) -> Result<(), String> {
    let mut weigh = Weigh {
        schemas,
        resolved: HashMap::new(),
    };
    // Each target of a reference is compiled once, by itself.
    let mut all = schemas.get("#").map_or(0, |root| weigh.schema(root, false));
    let references = schemas.values().filter_map(|schema| schema.get("$ref"));
    let targets: BTreeSet<&str> = references.filter_map(Value::as_str).collect();
    for target in targets {
        let Some(schema) = schemas.get(target) else {
            return Err(format!("`$ref` {target:?} points to no schema"));
        };
        all = all.saturating_add(weigh.schema(schema, false));
    }
    match all > MAX_PARTS {
        true => Err(format!(
            "it has over {MAX_PARTS} parts with its combinations multiplied out"
        )),
        false => Ok(()),
    }
}

struct Weigh<'a> {
    schemas: &'a Schemas<'a>,
    /// Weights of what was referred to; 1 while one is being found.
    resolved: HashMap<&'a str, u64>,
}

impl<'a> Weigh<'a> {
    /// A schema's parts. Where it is to be intersected, references are replaced by what they
    /// refer to; else they are parts themselves.
    ///
    /// Recurses as deep as the chain of references is long.
    fn schema(&mut self, schema: &'a Value, resolve: bool) -> u64 {
        let factors = self.factors(schema, resolve);
        if factors.len() > 1 && !resolve {
            return product(&self.factors(schema, true));
        }
        product(&factors)
    }

    /// What is intersected, in the order in which it is.
    fn factors(&mut self, schema: &'a Value, resolve: bool) -> Vec<u64> {
        // Without one type, there is a part for each.
        let types = if schema.get("type").is_some_and(Value::is_string) {
            1
        } else {
            7
        };
        let mut factors = Vec::new();
        let mut plain = 0_u64;
        for (keyword, value) in keywords(schema) {
            let combined = match keyword.as_str() {
                "anyOf" | "oneOf" => Some(self.sum(value, resolve)),
                "allOf" => {
                    let options: Vec<u64> = items(value)
                        .map(|option| self.schema(option, resolve))
                        .collect();
                    Some(product(&options))
                }
                "enum" | "const" => Some(count(value) as u64),
                "$ref" => Some(self.reference(value, resolve)),
                _ => None,
            };
            if let Some(combined) = combined {
                if plain > 0 {
                    factors.push(std::mem::take(&mut plain).saturating_add(types));
                }
                factors.push(combined.max(1));
                continue;
            }
            let parts = match keyword.as_str() {
                "$defs" | "definitions" | "title" | "description" | "default" | "examples"
                | "$schema" | "$id" | "id" | "$comment" => continue,
                "properties" | "patternProperties" => {
                    let members = value.as_object().into_iter().flat_map(|m| m.values());
                    members.fold(0_u64, |sum, member| {
                        sum.saturating_add(self.schema(member, resolve))
                    })
                }
                "prefixItems" => self.sum(value, resolve),
                "items" if value.is_array() => self.sum(value, resolve),
                "items" | "additionalItems" | "additionalProperties" => self.schema(value, resolve),
                _ => count(value) as u64,
            };
            plain = plain.saturating_add(parts);
        }
        if plain > 0 {
            factors.push(plain.saturating_add(types - 1));
        }
        // Several options in an `allOf` are intersected as well.
        if let Some(options) = schema.get("allOf").and_then(Value::as_array)
            && options.len() > 1
        {
            factors.push(1);
        }
        factors
    }

    fn sum(&mut self, options: &'a Value, resolve: bool) -> u64 {
        items(options).fold(0_u64, |sum, option| {
            sum.saturating_add(self.schema(option, resolve))
        })
    }

    fn reference(&mut self, reference: &'a Value, resolve: bool) -> u64 {
        let target = reference.as_str().unwrap_or_default();
        let Some(schema) = self.schemas.get(target) else {
            return 1;
        };
        if !resolve {
            return 1;
        }
        if let Some(&weight) = self.resolved.get(target) {
            return weight;
        }
        self.resolved.insert(target, 1);
        let weight = self.schema(schema, true);
        self.resolved.insert(target, weight);
        weight
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |all, &f| all.saturating_mul(f.max(1)))
}
