//! Kubernetes quantities, compared by value: `1`, `1000m` and `1e0` are equal, and so are `1Gi` and
//! `1073741824`.
//!
//! Hand-written, because `kube_quantity` 0.9 panics if a sum exceeds its 96-bit decimal, and
//! `k8s_quantity_parser` 0.1 uses floating-point numbers. `core/tests/quantities` contains the results of the
//! Kubernetes package for several hundred texts, and the tests below compare with them.

use std::fmt;

/// Maximum decimal digits of an amount in billionths; more do not fit into 128 bits.
const MAX_DIGITS: usize = 38;

/// An amount of a resource in billionths. The API server rounds up smaller fractions. Amounts that do not fit
/// into 128 bits (a million million exabytes) are saturated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// A text that the API server does not accept as a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity: use a value such as 10m, 0.5, 64Mi or 1Gi")]
pub struct InvalidQuantity;

/// One in billionths.
const ONE: i128 = 1_000_000_000;
/// The largest amount with a binary suffix that the API server supports.
const MAX_BINARY: i128 = 9_223_372_036_854_775_807 * ONE;

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Parses a quantity like `resource.ParseQuantity`, in time that only depends on the length of the text.
    ///
    /// # Errors
    /// If the API server would refuse the text.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        if text.is_empty() {
            return Err(InvalidQuantity);
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = unsigned.split_at(digits(unsigned));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let amount = match Suffix::read(suffix)? {
            Suffix::Decimal(exponent) => decimal(whole, fraction, exponent),
            Suffix::Binary(bits) => binary(whole, fraction, bits),
        };
        Ok(Self(if negative { -amount } else { amount }))
    }

    /// A number of bytes.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        Self(i128::from(bytes) * ONE)
    }

    /// A number of thousandths.
    #[must_use]
    pub fn from_milli(milli: u32) -> Self {
        Self(i128::from(milli) * (ONE / 1000))
    }

    /// The amount in whole units, rounded up; zero if it is negative, and saturated if it is too large.
    #[must_use]
    pub fn units(self) -> u64 {
        let whole = self.0 / ONE + i128::from(self.0 % ONE > 0);
        u64::try_from(whole.max(0)).unwrap_or(u64::MAX)
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is negative.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The sum, saturated.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The amount times `numerator` / `denominator`, rounded down to thousandths (up if `up` is set);
    /// saturated if the result is out of range or `denominator` is zero.
    #[must_use]
    pub fn scaled(self, numerator: Self, denominator: Self, up: bool) -> Self {
        const MILLI: i128 = ONE / 1000;
        // In thousandths, so that the product of two amounts of memory fits.
        let (amount, numerator) = (self.0 / MILLI, numerator.0 / MILLI);
        let denominator = denominator.0 / MILLI;
        let product = amount.checked_mul(numerator);
        let Some(quotient) = product.and_then(|product| product.checked_div(denominator)) else {
            return Self(i128::MAX);
        };
        let rest = product.and_then(|product| product.checked_rem(denominator)).unwrap_or_default();
        Self((quotient + i128::from(up && rest > 0)).saturating_mul(MILLI))
    }
}

/// In the notation of Kubernetes, with the largest suffix that is exact.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SMALL: [(&str, i128); 3] = [("m", ONE / 1000), ("u", ONE / 1_000_000), ("n", 1)];
        const LARGE: [(&str, i128); 5] =
            [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)];
        if self.0 % ONE == 0 {
            let whole = self.0 / ONE;
            let fits = |&&(_, unit): &&(&str, i128)| whole != 0 && whole % unit == 0;
            let (suffix, unit) = LARGE.iter().find(fits).unwrap_or(&("", 1));
            return write!(f, "{}{suffix}", whole / unit);
        }
        let (suffix, unit) = SMALL.iter().find(|(_, unit)| self.0 % unit == 0).unwrap_or(&("n", 1));
        write!(f, "{}{suffix}", self.0 / unit)
    }
}

/// The multiplier of a suffix.
enum Suffix {
    /// A power of ten.
    Decimal(i64),
    /// A power of two.
    Binary(u32),
}

impl Suffix {
    fn read(suffix: &str) -> Result<Self, InvalidQuantity> {
        Ok(match suffix {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            exponent => {
                let digits = exponent.strip_prefix(['e', 'E']).ok_or(InvalidQuantity)?;
                // The API server uses 32 bits for the exponent.
                Self::Decimal(digits.parse::<i32>().map_err(|_| InvalidQuantity)?.into())
            }
        })
    }
}

/// The digits in billionths, with the decimal point moved by `exponent`, rounded up.
fn decimal(whole: &str, fraction: &str, exponent: i64) -> i128 {
    let digits = || whole.bytes().chain(fraction.bytes());
    let total = whole.len() + fraction.len();
    let leading = digits().take_while(|&digit| digit == b'0').count();
    let trailing = digits().rev().take_while(|&digit| digit == b'0').count();
    if leading == total {
        return 0;
    }
    let places = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    // Number of digits before the decimal point, in billionths and without leading zeros.
    let in_front = (places(whole.len()) - places(leading)).saturating_add(exponent).saturating_add(9);
    if in_front > places(MAX_DIGITS) {
        return i128::MAX;
    }
    let significant = total - leading - trailing;
    // Less than one billionth is rounded up to one.
    let kept = usize::try_from(in_front.max(0)).unwrap_or_default();
    let of_digits = digits().skip(leading).take(significant.min(kept));
    let number = of_digits.fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'));
    let zeros = u32::try_from(kept.saturating_sub(significant)).unwrap_or_default();
    number * 10_i128.pow(zeros) + i128::from(significant > kept)
}

/// The digits in billionths times a power of two, rounded up, at most the maximum of the API server.
fn binary(whole: &str, fraction: &str, bits: u32) -> i128 {
    /// Digits of the fraction in one step: two steps leave a rest of at most 2^60 / 10^36.
    const PART: usize = 18;
    let whole = whole.trim_start_matches('0');
    if whole.len() > PART + 1 {
        return MAX_BINARY;
    }
    let number = |digits: &str, width: usize| {
        let zeros = std::iter::repeat_n(b'0', width.saturating_sub(digits.len()));
        digits.bytes().chain(zeros).fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'))
    };
    let whole = number(whole, 0).saturating_mul(1 << bits);
    let (high, rest) = fraction.split_at(PART.min(fraction.len()));
    let (low, beyond) = rest.split_at(PART.min(rest.len()));
    let unit = 10_i128.pow(18);
    // In units of 10^-18.
    let low = number(low, PART) << bits;
    let part = (number(high, PART) << bits) + low / unit;
    let inexact = low % unit != 0 || beyond.bytes().any(|digit| digit != b'0');
    let billionth = unit / ONE;
    let part = part / billionth + i128::from(part % billionth != 0 || inexact);
    whole.saturating_mul(ONE).saturating_add(part).min(MAX_BINARY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    /// Compares with the Kubernetes package: `core/tests/quantities/main.go` wrote the table.
    #[test]
    fn each_text_is_what_kubernetes_makes_of_it() {
        let table = include_str!("../tests/quantities/quantities.tsv");
        let mut rows = 0;
        for row in table.lines() {
            let (text, billionths) = row.split_once('\t').unwrap();
            let text: String = serde_json::from_str(text).unwrap();
            let expected = match billionths {
                "refused" => Err(InvalidQuantity),
                number => Ok(Quantity(number.parse().unwrap_or(i128::MAX))),
            };
            assert_eq!(Quantity::parse(&text), expected, "{text:?}");
            rows += 1;
        }
        assert!(rows > 200, "{rows}");
    }

    #[test]
    fn quantities_are_compared_by_value() {
        for same in [
            &["1", "1000m", "1e0", "+1", "1.0", "1000000u", "0.001k", "1e+0", "1E-0"][..],
            &["1Gi", "1073741824", "1024Mi", "1048576Ki", "1073741824000m"],
            &["1.5Gi", "1536Mi"],
            &["128974848", "129e6", "129M"][1..],
            &["0", "0m", "0Gi", "-0", "00", "0e9"],
        ] {
            let first = parse(same[0]);
            for text in same {
                assert_eq!(parse(text), first, "{text}");
            }
        }
        assert!(parse("1Gi") > parse("1G") && parse("-1") < Quantity::ZERO && parse("1n") > Quantity::ZERO);
    }

    #[test]
    fn a_quantity_is_written_as_kubernetes_writes_it() {
        for (text, written) in [
            ("0", "0"),
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1073741824", "1Gi"),
            ("1000", "1000"),
            ("1500u", "1500u"),
            ("1n", "1n"),
        ] {
            assert_eq!(parse(text).to_string(), written);
        }
    }

    #[test]
    fn a_share_is_rounded_as_asked_and_never_overflows() {
        let of = |amount: &str, numerator: &str, denominator: &str, up| {
            parse(amount).scaled(parse(numerator), parse(denominator), up).to_string()
        };
        assert_eq!(of("5m", "2", "1", false), "10m");
        assert_eq!(of("16Mi", "1Gi", "512Mi", false), "32Mi");
        assert_eq!(of("10m", "1", "3", false), "3m");
        assert_eq!(of("10m", "1", "3", true), "4m");
        assert_eq!(parse("1").scaled(parse("1"), Quantity::ZERO, true), Quantity(i128::MAX));
        assert_eq!(parse("1e25").scaled(parse("1e25"), parse("1"), true), Quantity(i128::MAX));
    }

    #[test]
    fn a_very_long_text_is_read_in_one_pass() {
        let digits = "9".repeat(1 << 20);
        assert_eq!(parse(&digits), Quantity(i128::MAX));
        assert_eq!(parse(&format!("{digits}Ki")), Quantity(MAX_BINARY));
        assert_eq!(parse(&format!("0.{digits}")), parse("1"));
        assert_eq!(parse(&format!("{}1", "0".repeat(1 << 20))), parse("1"));
        assert_eq!(parse(&format!("0.{}1", "0".repeat(1 << 20))), parse("1n"));
        assert_eq!(parse(&format!("0.{}1Ei", "0".repeat(1 << 20))), parse("1n"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(billionths in any::<i64>(), shift in 0..40_u32) {
            let quantity = Quantity(i128::from(billionths) << shift);
            prop_assert_eq!(parse(&quantity.to_string()), quantity);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,12}|[-+.0-9eEkKMGTPimnu]{0,12}") {
            let _ = Quantity::parse(&text);
        }
    }
}
