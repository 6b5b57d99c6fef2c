use super::ByteModel;
use crate::kernels::PANEL;
use crate::vocab::Token;

/// What a model remembers of the tokens it has read: their keys and values, and room to
/// work in. Grows with the tokens, 8 bytes times layers times the keys' width for each.
pub struct Cache {
    pub(super) tokens: Vec<Token>,
    pub(super) layers: Vec<Layer>,
    pub(super) work: super::forward::Work,
}

/// One block's part.
#[derive(Clone, Default)]
pub(super) struct Layer {
    /// In panels, as [`Attention`](crate::kernels::Attention) wants them; the last one has
    /// room for positions to come.
    pub(super) keys: Vec<[f32; PANEL]>,
    pub(super) values: Vec<f32>,
}

impl Layer {
    /// Adds the keys and values of the positions from `first` on.
    pub(super) fn push(&mut self, first: usize, keys: &[f32], values: &[f32], width: usize) {
        self.values.extend_from_slice(values);
        for (position, key) in (first..).zip(keys.chunks_exact(width)) {
            let panel = position / PANEL * width;
            self.keys.resize(panel + width, [0.0; PANEL]);
            for (line, number) in self.keys[panel..].iter_mut().zip(key) {
                line[position % PANEL] = *number;
            }
        }
    }
}

impl Cache {
    /// An empty cache for this model.
    pub fn new(model: &ByteModel) -> Self {
        Self {
            tokens: Vec::new(),
            layers: vec![Layer::default(); model.config().layers],
            work: Default::default(),
        }
    }

    /// The tokens it holds.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Forgets all but the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        if length >= self.tokens.len() {
            return;
        }
        let positions = self.tokens.len();
        for layer in &mut self.layers {
            let panels = positions.div_ceil(PANEL);
            layer
                .keys
                .truncate(layer.keys.len() / panels * length.div_ceil(PANEL));
            layer
                .values
                .truncate(layer.values.len() / positions * length);
        }
        self.tokens.truncate(length);
    }
}

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self {
            tokens: self.tokens.clone(),
            layers: self.layers.clone(),
            work: Default::default(),
        }
    }
}
