//! Numbers and booleans of `server.ini` are expressions: `1024*1024`, `(2 + 3) * 60`, `!false`.
//!
//! What is understood is the part of Aviator that configurations use: whole numbers (decimal, or
//! hexadecimal after `0x`), `+ - * / %`, parentheses, a minus in front; `true`, `false`, `!`.

/// The number that `text` comes to.
pub(super) fn integer(text: &str) -> Option<i64> {
    let mut parser = Parser {
        rest: text.as_bytes(),
        depth: 0,
    };
    let value = parser.sum()?;
    parser.skip_space();
    parser.rest.is_empty().then_some(value)
}

/// The boolean that `text` comes to.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "true" => Some(true),
        "false" => Some(false),
        text => match text.strip_prefix('!') {
            Some(rest) => match rest.trim() {
                "true" => Some(false),
                "false" => Some(true),
                _ => None,
            },
            None => None,
        },
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    /// Parentheses and signs that are open; a file is no reason to run out of stack.
    depth: u32,
}

impl Parser<'_> {
    fn sum(&mut self) -> Option<i64> {
        let mut value = self.product()?;
        loop {
            if self.take(b'+') {
                value = value.checked_add(self.product()?)?;
            } else if self.take(b'-') {
                value = value.checked_sub(self.product()?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<i64> {
        let mut value = self.factor()?;
        loop {
            if self.take(b'*') {
                value = value.checked_mul(self.factor()?)?;
            } else if self.take(b'/') {
                value = value.checked_div(self.factor()?)?;
            } else if self.take(b'%') {
                value = value.checked_rem(self.factor()?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self) -> Option<i64> {
        const DEPTH_MAX: u32 = 64;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let value = if self.take(b'-') {
            self.factor()?.checked_neg()
        } else if self.take(b'(') {
            let value = self.sum()?;
            self.take(b')').then_some(value)
        } else {
            self.number()
        };
        self.depth -= 1;
        value
    }

    fn number(&mut self) -> Option<i64> {
        self.skip_space();
        let hexadecimal = self
            .rest
            .strip_prefix(b"0x")
            .or_else(|| self.rest.strip_prefix(b"0X"));
        let radix = if hexadecimal.is_some() { 16 } else { 10 };
        let digits = hexadecimal.unwrap_or(self.rest);
        let end = digits
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric())
            .unwrap_or(digits.len());
        let (number, rest) = digits.split_at(end);
        self.rest = rest;
        // from_str_radix would take a sign.
        let number = std::str::from_utf8(number)
            .ok()
            .filter(|text| !text.is_empty())?;
        i64::from_str_radix(number, radix).ok()
    }

    fn take(&mut self, wanted: u8) -> bool {
        self.skip_space();
        match self.rest.split_first() {
            Some((byte, rest)) if *byte == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}
