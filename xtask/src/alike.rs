//! Puts functions of a module side by side that are alike: brotli tells what it has seen a moment ago in fewer bits. The
//! linker leaves the many copies of a generic function far apart; this saves about a fiftieth of what is loaded.

#![allow(clippy::wildcard_enum_match_arm, reason = "a module has many more parts than matter here")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    error::Error,
};

use wasm_encoder::{
    CodeSection, FunctionSection, Module,
    reencode::{self, Reencode},
};
use wasmparser::{CodeSectionReader, FunctionBody, FunctionSectionReader, Parser, Payload, TypeRef};

/// Pieces of so many bytes are compared.
const PIECE: usize = 6;
/// So many pieces stand for a function.
const MARKS: u64 = 48;

/// Gives a module that does the same, with its functions in another order.
///
/// # Errors
/// When it is no module.
pub fn side_by_side(wasm: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut imported, mut bodies) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    let order = chain(&bodies);
    let mut places = vec![0; bodies.len()];
    for (place, function) in (imported..).zip(&order) {
        places[*function] = place;
    }
    let mut module = Module::new();
    Moved { imported, order, places }.parse_core_module(&mut module, Parser::new(0), wasm)?;
    Ok(module.finish())
}

/// Begins with the first one, and goes on with the one that is most like the one before.
fn chain(bodies: &[&[u8]]) -> Vec<usize> {
    let marks: Vec<Vec<(u64, u32)>> = bodies.iter().map(|body| marks(body)).collect();
    let mut with: HashMap<(u64, u32), BTreeSet<usize>> = HashMap::new();
    for (at, marks) in marks.iter().enumerate() {
        for mark in marks {
            with.entry(*mark).or_default().insert(at);
        }
    }
    let mut left: BTreeSet<usize> = (0..bodies.len()).collect();
    let mut order = Vec::with_capacity(bodies.len());
    let mut next = left.first().copied();
    while let Some(at) = next {
        left.remove(&at);
        order.push(at);
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        for mark in &marks[at] {
            let Some(others) = with.get_mut(mark) else { continue };
            others.remove(&at);
            for other in others.iter() {
                *shared.entry(*other).or_default() += 1;
            }
        }
        let nearest = shared.into_iter().max_by_key(|(other, count)| {
            (*count, Reverse(bodies[*other].len().abs_diff(bodies[at].len())), Reverse(*other))
        });
        next = nearest.map(|(other, _)| other).or_else(|| left.first().copied());
    }
    order
}

/// The pieces that stand for a function: of each way to sort them the first. Two functions share as many as they are
/// alike (min-hash).
fn marks(body: &[u8]) -> Vec<(u64, u32)> {
    let pieces: BTreeSet<u32> = body.windows(PIECE).map(hash).collect();
    let first = |way: u64| {
        // An odd factor sorts all numbers anew and meets none twice.
        let factor = u32::try_from(way).unwrap_or_default().wrapping_mul(0x9e37_79b9) | 1;
        pieces.iter().map(|piece| piece.wrapping_mul(factor)).min().map(|mark| (way, mark))
    };
    (1..=MARKS).filter_map(first).collect()
}

/// FNV-1a.
fn hash(piece: &[u8]) -> u32 {
    piece.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Writes functions in their new order, and calls them by their new numbers.
struct Moved {
    imported: u32,
    /// Which function stands at each place.
    order: Vec<usize>,
    /// The new number of each function.
    places: Vec<u32>,
}

type Wrong = reencode::Error<Infallible>;

impl Reencode for Moved {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Wrong> {
        Ok(match function.checked_sub(self.imported) {
            Some(own) => self.places[own as usize],
            None => function,
        })
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Wrong> {
        let types: Vec<u32> = section.into_iter().collect::<Result<_, _>>()?;
        for function in &self.order {
            functions.function(types[*function]);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Wrong> {
        let bodies: Vec<FunctionBody<'_>> = section.into_iter().collect::<Result<_, _>>()?;
        for function in self.order.clone() {
            self.parse_function_body(code, bodies[function].clone())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three functions of which the first and the last are alike; the second calls both.
    const TEXT: &[u8] = b"\0asm\x01\0\0\0\
        \x01\x05\x01\x60\0\x01\x7f\
        \x03\x04\x03\0\0\0\
        \x07\x05\x01\x01f\0\x01\
        \x0a\x25\x03\
        \x0d\0\x41\x0b\x41\x0c\x6a\x41\x0d\x6a\x41\x01\x6a\x0b\
        \x07\0\x10\0\x10\x02\x6a\x0b\
        \x0d\0\x41\x0b\x41\x0c\x6a\x41\x0d\x6a\x41\x02\x6a\x0b";

    #[test]
    fn what_is_alike_comes_together_and_is_called_by_its_new_number() {
        let moved = side_by_side(TEXT).unwrap();
        let (mut bodies, mut exported) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&moved) {
            match payload.unwrap() {
                Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes().to_vec()),
                Payload::ExportSection(section) => {
                    exported.extend(section.into_iter().map(|export| export.unwrap().index));
                }
                _ => {}
            }
        }
        assert_eq!(bodies[1][bodies[1].len() - 3], 0x02, "the third one stands beside the first");
        assert_eq!(bodies[2], b"\0\x10\0\x10\x01\x6a\x0b");
        assert_eq!(exported, [2]);
    }
}
