//! Arithmetic by recursive descent. `^` binds tightest and to the right, and a sign before
//! a power is the power's: `-2^2` is -4, `2^-1` is a half.

/// Deepest nesting of parentheses, signs and powers: a stack of WebAssembly is small.
const DEEPEST: usize = 100;

/// The value of an expression, or what is wrong with it.
pub fn evaluate(text: &str) -> Result<f64, String> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let value = parser.sum()?;
    match parser.peek() {
        None => finite(value),
        Some(')') => Err(parser.wrong("a `)` without its `(`")),
        Some(c) => Err(parser.wrong(&format!("expected an operator, found {c:?}"))),
    }
}

fn finite(value: f64) -> Result<f64, String> {
    if value.is_nan() {
        return Err("the result is no real number".into());
    }
    if value.is_infinite() {
        return Err("the result is too large".into());
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes read.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        loop {
            if self.take('+') {
                value += self.product()?;
            } else if self.take('-') {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.signed()?;
        loop {
            if self.take('*') {
                value *= self.signed()?;
            } else if self.take('/') {
                value /= self.divisor()?;
            } else if self.take('%') {
                value %= self.divisor()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn divisor(&mut self) -> Result<f64, String> {
        match self.signed()? {
            0.0 => Err(self.wrong("division by zero")),
            value => Ok(value),
        }
    }

    fn signed(&mut self) -> Result<f64, String> {
        self.deeper(|parser| {
            if parser.take('-') {
                Ok(-parser.signed()?)
            } else if parser.take('+') {
                parser.signed()
            } else {
                parser.power()
            }
        })
    }

    fn power(&mut self) -> Result<f64, String> {
        let base = self.atom()?;
        if self.take('^') {
            return Ok(base.powf(self.signed()?));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<f64, String> {
        match self.peek() {
            Some('(') => {
                self.take('(');
                let value = self.sum()?;
                self.expect_closed()?;
                Ok(value)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.named(),
            Some(c) => Err(self.wrong(&format!("expected a number, found {c:?}"))),
            None => Err(self.wrong("expected a number, found the end")),
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        let rest = self.rest().as_bytes();
        let digits = |from: usize| {
            let tail = rest.get(from..).unwrap_or_default();
            tail.iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let mut length = digits(0);
        if rest.get(length) == Some(&b'.') {
            length += 1 + digits(length + 1);
        }
        // `2e3` is a number; in `2e` the `e` is left alone.
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length + 1 + sign);
            if exponent > 0 {
                length += 1 + sign + exponent;
            }
        }
        let text = self.advance(length);
        text.parse()
            .map_err(|_| self.wrong(&format!("{text:?} is no number")))
    }

    /// A constant, or a function with its arguments.
    fn named(&mut self) -> Result<f64, String> {
        let bytes = self.rest().bytes();
        let length = bytes.take_while(u8::is_ascii_alphanumeric).count();
        let name = self.advance(length).to_ascii_lowercase();
        if !self.take('(') {
            return match &*name {
                "pi" => Ok(std::f64::consts::PI),
                "e" => Ok(std::f64::consts::E),
                _ => Err(self.wrong(&format!("there is no constant `{name:.32}`"))),
            };
        }
        let mut arguments = vec![self.sum()?];
        while self.take(',') {
            arguments.push(self.sum()?);
        }
        self.expect_closed()?;
        apply(&name, &arguments).map_err(|why| self.wrong(&why))
    }

    fn expect_closed(&mut self) -> Result<(), String> {
        if self.take(')') {
            return Ok(());
        }
        Err(match self.peek() {
            Some(c) => self.wrong(&format!("expected `)`, found {c:?}")),
            None => self.wrong("a `(` is not closed"),
        })
    }

    fn deeper(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<f64, String>,
    ) -> Result<f64, String> {
        if self.depth == DEEPEST {
            return Err(self.wrong(&format!("nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let value = step(self);
        self.depth -= 1;
        value
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let from = self.at;
        self.at += bytes;
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    fn wrong(&self, what: &str) -> String {
        let before = self.text.get(..self.at).unwrap_or_default();
        format!("{what}, after {} characters", before.chars().count())
    }
}

fn apply(name: &str, arguments: &[f64]) -> Result<f64, String> {
    match (name, arguments) {
        ("min", many) => return Ok(many.iter().copied().fold(f64::INFINITY, f64::min)),
        ("max", many) => return Ok(many.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        _ => {}
    }
    let function = match name {
        "sqrt" => f64::sqrt,
        "abs" => f64::abs,
        "round" => f64::round,
        "floor" => f64::floor,
        "ceil" => f64::ceil,
        "ln" => f64::ln,
        "exp" => f64::exp,
        "sin" => f64::sin,
        "cos" => f64::cos,
        _ => return Err(format!("there is no function `{name:.32}`")),
    };
    match arguments {
        [x] => Ok(function(*x)),
        _ => Err(format!("`{name}` takes one argument")),
    }
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    #[test]
    fn operators_bind_as_everybody_expects() {
        for (text, value) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("2*(3+4)^2", 98.0),
            ("7 - 2 - 1", 4.0),
            ("8 / 2 / 2", 2.0),
            ("2 ^ 3 ^ 2", 512.0),
            ("-2 ^ 2", -4.0),
            ("(-2) ^ 2", 4.0),
            ("2 ^ -1", 0.5),
            ("2 * -3", -6.0),
            ("--3", 3.0),
            ("+3", 3.0),
            ("7 % 4", 3.0),
            ("-7 % 4", -3.0),
            (".5 + 1.", 1.5),
            ("1e3 + 2.5E-1", 1000.25),
        ] {
            assert_eq!(evaluate(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn functions_and_constants_are_those_of_the_description() {
        for (text, value) in [
            ("sqrt(16)", 4.0),
            ("abs(-2)", 2.0),
            ("min(3, 1, 2) + max(3, 1, 2)", 4.0),
            ("round(2.5) + floor(2.7) + ceil(2.1)", 8.0),
            ("ln(exp(2))", 2.0),
            ("ln(e)", 1.0),
            ("cos(pi) + sin(0)", -1.0),
            ("SQRT(PI * pi)", std::f64::consts::PI),
        ] {
            let result = evaluate(text).unwrap_or(f64::NAN);
            assert!((result - value).abs() < 1e-12, "{text} = {result}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_where() {
        for (text, why) in [
            ("", "found the end, after 0"),
            ("1 +", "found the end"),
            ("1 2", "expected an operator, found '2', after 2"),
            ("(1", "is not closed"),
            ("1)", "without its `(`"),
            ("1 / 0", "division by zero"),
            ("1 % (1 - 1)", "division by zero"),
            ("x + 1", "no constant `x`"),
            ("tan(1)", "no function `tan`"),
            ("sqrt(1, 2)", "takes one argument"),
            ("sqrt()", "found ')'"),
            ("sqrt(-1)", "no real number"),
            ("ln(0)", "too large"),
            ("10^400", "too large"),
            ("1.2.3", "expected an operator"),
            (".", "is no number"),
            ("2 × 3", "found '×', after 2"),
            ("1; drop", "found ';'"),
        ] {
            let error = evaluate(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error:?}");
        }
    }

    #[test]
    fn nesting_has_its_limit() {
        for open in ["(", "-", "2^", "sqrt("] {
            let text = open.repeat(5000);
            let error = evaluate(&text).err().unwrap_or_default();
            assert!(error.contains("more than 100 deep"), "{open}: {error}");
        }
        let fine = format!("{}1{}", "(".repeat(90), ")".repeat(90));
        assert_eq!(evaluate(&fine), Ok(1.0));
    }
}
