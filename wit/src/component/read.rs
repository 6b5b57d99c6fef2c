//! The walk through the sections.

use super::{
    ComponentError, ComponentInfo, DEPTH_LIMIT, Extern, ExternKind, NAME_LIMIT, NAMES_LIMIT,
    PRODUCERS_LIMIT, Producer,
};
use crate::text::one_line;
use std::ops::Range;
use wasmparser::{
    BinaryReader, CanonicalFunction, CanonicalOption, Chunk, ComponentAlias, ComponentExternName,
    ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Encoding,
    Instance, MemoryType, Parser, Payload, ProducersSectionReader,
};

const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE_PREAMBLE: &[u8] = b"\0asm\x01\0\0\0";

/// What the first bytes tell.
pub(super) fn preamble(bytes: &[u8]) -> Result<(), ComponentError> {
    if bytes.starts_with(COMPONENT_PREAMBLE) {
        return Ok(());
    }
    if bytes.is_empty() {
        return Err(ComponentError::Empty);
    }
    if bytes.starts_with(MODULE_PREAMBLE) {
        return Err(ComponentError::CoreModule);
    }
    if COMPONENT_PREAMBLE.starts_with(bytes) {
        let size = bytes.len() as u64;
        return Err(ComponentError::Truncated { at: size, size });
    }
    if bytes.starts_with(b"\0asm") {
        return Err(ComponentError::UnknownVersion);
    }
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"(component") || text.starts_with(b"(module") {
        return Err(ComponentError::Text);
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]);
    let head = head.chars().take(16).collect();
    Err(ComponentError::NotWebAssembly { head })
}

pub(super) fn component(bytes: &[u8]) -> Result<ComponentInfo, ComponentError> {
    preamble(bytes)?;
    let mut walk = Walk {
        bytes,
        info: ComponentInfo {
            bytes: bytes.len() as u64,
            ..ComponentInfo::default()
        },
        // The first stands for the file.
        open: vec![Open {
            parser: Parser::new(0),
            encoding: Encoding::Component,
            end: bytes.len(),
            components: Vec::new(),
            instances: 0,
        }],
        at: 0,
    };
    while walk.step()? {}
    Ok(walk.info)
}

/// A component or a module whose sections are being read.
struct Open {
    parser: Parser,
    /// What its preamble must say it is.
    encoding: Encoding,
    /// Where it ends.
    end: usize,
    /// Its component index space: how many instances one of each makes, itself included;
    /// none where that is not spelled out in these bytes.
    components: Vec<Option<u64>>,
    /// Instances that it makes, all told.
    instances: u64,
}

struct Walk<'a> {
    bytes: &'a [u8],
    info: ComponentInfo,
    /// Innermost last.
    open: Vec<Open>,
    /// Bytes that were read.
    at: usize,
}

impl<'a> Walk<'a> {
    /// Reads a section; false when there are no more.
    fn step(&mut self) -> Result<bool, ComponentError> {
        let bytes = self.bytes;
        let outermost = self.open.len() == 1;
        let Some(open) = self.open.last_mut() else {
            return Ok(false);
        };
        let rest = bytes.get(self.at..open.end).unwrap_or_default();
        // As long as there are bytes it is not told that these are the last: it then tells
        // what ends too early from what is wrong.
        let chunk = open.parser.parse(rest, rest.is_empty());
        let (consumed, payload) = match chunk.map_err(|e| malformed(&e))? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            Chunk::NeedMoreData(_) if open.end == bytes.len() => {
                return Err(self.truncated(bytes.len()));
            }
            Chunk::NeedMoreData(_) => {
                return Err(self.damaged("a section that is longer than what it is part of"));
            }
        };
        self.at += consumed;
        match payload {
            Payload::Version { encoding, .. } if encoding != open.encoding => {
                let reason = match encoding {
                    Encoding::Module => "a core module where a component should be",
                    Encoding::Component => "a component where a core module should be",
                };
                return Err(self.damaged(reason));
            }
            Payload::CodeSectionStart { range, size, .. } => {
                self.info.code_bytes += u64::from(size);
                // The functions are skipped, all at once.
                if range.end > open.end {
                    return Err(self.truncated(range.start));
                }
                open.parser.skip_section();
                self.at = range.end;
            }
            Payload::ModuleSection {
                parser,
                unchecked_range: range,
            } => {
                self.info.modules += 1;
                self.enter(parser, Encoding::Module, range)?;
            }
            Payload::ComponentSection {
                parser,
                unchecked_range: range,
            } => {
                self.info.components += 1;
                self.enter(parser, Encoding::Component, range)?;
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.map_err(|e| malformed(&e))?;
                    self.info.memories += 1;
                    let sum = self.info.memory_bytes.saturating_add(at_start(&memory));
                    self.info.memory_bytes = sum;
                }
            }
            Payload::DataSection(data) => self.info.data_bytes += length(&data.range()),
            Payload::CustomSection(section) => {
                self.info.custom_bytes += length(&section.range());
                if section.name() == "producers" {
                    self.producers(section.data_reader());
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    let instance = instance.map_err(|e| malformed(&e))?;
                    if let Instance::Instantiate { .. } = instance {
                        open.instances = open.instances.saturating_add(1);
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let instance = instance.map_err(|e| malformed(&e))?;
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance
                    {
                        self.instantiate(component_index)?;
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    let alias = alias.map_err(|e| malformed(&e))?;
                    self.alias(&alias)?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import.map_err(|e| malformed(&e))?;
                    if import.ty.kind() == ComponentExternalKind::Component {
                        self.component(None)?;
                    }
                    if !outermost {
                        continue;
                    }
                    let import = named(import.name, import_kind(import.ty));
                    self.room("imports", self.info.imports.len())?;
                    self.info.imports.push(import);
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(|e| malformed(&e))?;
                    if export.kind == ComponentExternalKind::Component {
                        let made = self.made_by(0, export.index)?;
                        self.component(made)?;
                    }
                    if !outermost {
                        continue;
                    }
                    let export = named(export.name, kind(export.kind));
                    self.room("exports", self.info.exports.len())?;
                    self.info.exports.push(export);
                }
            }
            Payload::ComponentCanonicalSection(functions) if outermost => {
                for function in functions {
                    let function = function.map_err(|e| malformed(&e))?;
                    if let CanonicalFunction::Lift { options, .. } = function {
                        self.info.lifts_async |= options.contains(&CanonicalOption::Async);
                    }
                }
            }
            Payload::UnknownSection { .. } => {
                return Err(self.damaged("a section of a kind that there is not"));
            }
            Payload::End(_) => {
                self.at = open.end;
                self.leave()?;
            }
            // What they say, only a compiler needs to know.
            _ => {}
        }
        Ok(!self.open.is_empty())
    }

    /// Goes on with what is nested.
    fn enter(
        &mut self,
        parser: Parser,
        encoding: Encoding,
        range: Range<usize>,
    ) -> Result<(), ComponentError> {
        let outer = self.open.last().map_or(0, |open| open.end);
        if range.end > outer {
            return Err(self.truncated(range.start));
        }
        let limit = DEPTH_LIMIT;
        if encoding == Encoding::Component && self.open.len() >= limit {
            let at = range.start as u64;
            return Err(ComponentError::TooDeep { at, limit });
        }
        self.open.push(Open {
            parser,
            encoding,
            end: range.end,
            components: Vec::new(),
            instances: 0,
        });
        Ok(())
    }

    /// Goes back to what this is nested in.
    fn leave(&mut self) -> Result<(), ComponentError> {
        let Some(done) = self.open.pop() else {
            return Ok(());
        };
        if self.open.is_empty() {
            self.info.instances = done.instances;
        } else if done.encoding == Encoding::Component {
            self.component(Some(done.instances.saturating_add(1)))?;
        }
        Ok(())
    }

    /// Another component in the index space of the innermost one.
    fn component(&mut self, makes: Option<u64>) -> Result<(), ComponentError> {
        let count = self.open.last().map_or(0, |open| open.components.len());
        self.room("components", count)?;
        if let Some(open) = self.open.last_mut() {
            open.components.push(makes);
        }
        Ok(())
    }

    /// How many instances one of this component makes; it is counted outwards.
    fn made_by(&self, outwards: u32, index: u32) -> Result<Option<u64>, ComponentError> {
        let frame = self.open.iter().rev().nth(outwards as usize);
        let makes = frame.and_then(|open| open.components.get(index as usize));
        let makes = makes.ok_or_else(|| self.damaged("an index of a component there is not"))?;
        Ok(*makes)
    }

    fn instantiate(&mut self, component: u32) -> Result<(), ComponentError> {
        let Some(makes) = self.made_by(0, component)? else {
            let at = self.at as u64;
            return Err(ComponentError::HigherOrder { at });
        };
        if let Some(open) = self.open.last_mut() {
            open.instances = open.instances.saturating_add(makes);
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), ComponentError> {
        match *alias {
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Component,
                ..
            } => self.component(None),
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Component,
                count,
                index,
            } => {
                let makes = self.made_by(count, index)?;
                self.component(makes)
            }
            _ => Ok(()),
        }
    }

    fn room(&self, what: &'static str, count: usize) -> Result<(), ComponentError> {
        let (at, limit) = (self.at as u64, NAMES_LIMIT);
        match count < limit {
            true => Ok(()),
            false => Err(ComponentError::TooMany { at, what, limit }),
        }
    }

    /// Notes of toolchains: what cannot be read is left out.
    fn producers(&mut self, reader: BinaryReader<'a>) {
        let Ok(fields) = ProducersSectionReader::new(reader) else {
            return;
        };
        for field in fields.into_iter().map_while(Result::ok) {
            let list = match field.name {
                "language" => &mut self.info.languages,
                "processed-by" | "sdk" => &mut self.info.tools,
                _ => continue,
            };
            for value in field.values.into_iter().map_while(Result::ok) {
                if list.len() >= PRODUCERS_LIMIT {
                    break;
                }
                let producer = Producer {
                    name: shown(value.name),
                    version: shown(value.version),
                };
                if !list.contains(&producer) {
                    list.push(producer);
                }
            }
        }
    }

    fn truncated(&self, at: usize) -> ComponentError {
        ComponentError::Truncated {
            at: at as u64,
            size: self.bytes.len() as u64,
        }
    }

    fn damaged(&self, reason: &str) -> ComponentError {
        ComponentError::Malformed {
            at: self.at as u64,
            reason: reason.to_owned(),
        }
    }
}

fn malformed(error: &wasmparser::Error) -> ComponentError {
    ComponentError::Malformed {
        at: error.offset() as u64,
        reason: shown(error.message()),
    }
}

fn length(range: &Range<usize>) -> u64 {
    range.len() as u64
}

/// Bytes a memory has before it grows.
fn at_start(memory: &MemoryType) -> u64 {
    let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16));
    memory.initial.saturating_mul(page.unwrap_or(u64::MAX))
}

fn named(name: ComponentExternName<'_>, kind: ExternKind) -> Extern {
    let mut text = shown(name.name);
    // `wasi:cli/stdout@0.2` with `.6` apart.
    if let Some(suffix) = name.version_suffix {
        text = shown(&(text + &shown(suffix)));
    }
    Extern { name: text, kind }
}

fn import_kind(ty: ComponentTypeRef) -> ExternKind {
    kind(ty.kind())
}

fn kind(kind: ComponentExternalKind) -> ExternKind {
    match kind {
        ComponentExternalKind::Module => ExternKind::Module,
        ComponentExternalKind::Func => ExternKind::Function,
        ComponentExternalKind::Value => ExternKind::Value,
        ComponentExternalKind::Type => ExternKind::Type,
        ComponentExternalKind::Instance => ExternKind::Interface,
        ComponentExternalKind::Component => ExternKind::Component,
    }
}

/// A text from the bytes as it can be shown.
fn shown(text: &str) -> String {
    one_line(text, NAME_LIMIT)
}
