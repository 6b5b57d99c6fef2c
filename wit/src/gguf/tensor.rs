use std::fmt;

/// One table for types: number in the file, name, values per block, bytes per block.
macro_rules! tensor_types {
    ($($variant:ident = $number:literal, $name:literal, $block:literal, $bytes:literal;)*) => {
        /// How a tensor's values are stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum TensorType {
            $(
                #[doc = concat!("`", $name, "`: ", $block, " values in ", $bytes, " bytes.")]
                $variant = $number,
            )*
        }

        impl TensorType {
            /// The type that stands in a file as `number`, if it is known.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name as people write it: `Q4_K`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Values in one block; a row is a whole number of blocks.
            pub fn block_values(self) -> u64 {
                match self {
                    $(Self::$variant => $block,)*
                }
            }

            /// Bytes of one block.
            pub fn block_bytes(self) -> u64 {
                match self {
                    $(Self::$variant => $bytes,)*
                }
            }
        }
    };
}

tensor_types! {
    F32 = 0, "F32", 1, 4;
    F16 = 1, "F16", 1, 2;
    Q4_0 = 2, "Q4_0", 32, 18;
    Q4_1 = 3, "Q4_1", 32, 20;
    Q5_0 = 6, "Q5_0", 32, 22;
    Q5_1 = 7, "Q5_1", 32, 24;
    Q8_0 = 8, "Q8_0", 32, 34;
    Q8_1 = 9, "Q8_1", 32, 36;
    Q2K = 10, "Q2_K", 256, 84;
    Q3K = 11, "Q3_K", 256, 110;
    Q4K = 12, "Q4_K", 256, 144;
    Q5K = 13, "Q5_K", 256, 176;
    Q6K = 14, "Q6_K", 256, 210;
    Q8K = 15, "Q8_K", 256, 292;
    Iq2Xxs = 16, "IQ2_XXS", 256, 66;
    Iq2Xs = 17, "IQ2_XS", 256, 74;
    Iq3Xxs = 18, "IQ3_XXS", 256, 98;
    Iq1S = 19, "IQ1_S", 256, 50;
    Iq4Nl = 20, "IQ4_NL", 32, 18;
    Iq3S = 21, "IQ3_S", 256, 110;
    Iq2S = 22, "IQ2_S", 256, 82;
    Iq4Xs = 23, "IQ4_XS", 256, 136;
    I8 = 24, "I8", 1, 1;
    I16 = 25, "I16", 1, 2;
    I32 = 26, "I32", 1, 4;
    I64 = 27, "I64", 1, 8;
    F64 = 28, "F64", 1, 8;
    Iq1M = 29, "IQ1_M", 256, 56;
    Bf16 = 30, "BF16", 1, 2;
    Tq1_0 = 34, "TQ1_0", 256, 54;
    Tq2_0 = 35, "TQ2_0", 256, 66;
    Mxfp4 = 39, "MXFP4", 32, 17;
    Nvfp4 = 40, "NVFP4", 64, 36;
    Q1_0 = 41, "Q1_0", 128, 18;
    Q2_0 = 42, "Q2_0", 64, 18;
}

impl TensorType {
    /// The number that stands for it in a file.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Elements and bytes of a tensor of this type, or what is wrong with its dimensions.
    pub(super) fn measure(self, dims: &[u64]) -> Result<(u64, u64), &'static str> {
        let (Some(&row), 1..=4) = (dims.first(), dims.len()) else {
            return Err("a tensor has 1 to 4 dimensions");
        };
        if dims.contains(&0) {
            return Err("a dimension is 0");
        }
        let elements = dims
            .iter()
            .try_fold(1_u64, |product, &dim| product.checked_mul(dim))
            .filter(|&elements| i64::try_from(elements).is_ok())
            .ok_or("it has over 2^63-1 elements")?;
        if row % self.block_values() != 0 {
            return Err("its first dimension is no multiple of its type's block");
        }
        let bytes = (elements / self.block_values())
            .checked_mul(self.block_bytes())
            .filter(|&bytes| i64::try_from(bytes).is_ok())
            .ok_or("it has over 2^63-1 bytes")?;
        Ok((elements, bytes))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A tensor: its shape, and where its data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub(super) name: String,
    pub(super) dims: [u64; 4],
    pub(super) rank: u8,
    pub(super) ty: TensorType,
    pub(super) elements: u64,
    /// From the file's beginning, once the data's place is known.
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Tensor {
    /// Its name, 1 to 255 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions, 1 to 4; values of the first are next to each other in the file.
    pub fn dims(&self) -> &[u64] {
        &self.dims[..self.rank.into()]
    }

    /// How its values are stored.
    pub fn ty(&self) -> TensorType {
        self.ty
    }

    /// The product of its dimensions, 1 to 2^63-1.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Where its data begins, bytes from the file's beginning.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of its data, without padding.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The quantisation that `general.file_type` stands for.
pub(super) fn file_type(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 | 4 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}
