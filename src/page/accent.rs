//! A shop's accent colour, made readable: contrast is computed, never hoped for.

use std::fmt;

/// The accent of a room that names none: a deep green, the colour of a light that lets you go.
pub const DEFAULT: Rgb = Rgb(0x0b, 0x6b, 0x4f);

/// The page's ground in light and in dark; `templates/line.css` uses the same two (a test compares).
pub const GROUND_LIGHT: Rgb = Rgb(0xfb, 0xfa, 0xf7);
pub const GROUND_DARK: Rgb = Rgb(0x14, 0x15, 0x19);

/// WCAG 2.2, 1.4.11: what graphics need against their ground, in hundredths.
pub const GRAPHICS_CONTRAST: u32 = 300;

/// How finely a colour is mixed towards black or white until it can be seen.
const STEPS: u32 = 20;

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// The colours a page gets from one accent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Buttons.
    pub accent: Rgb,
    /// The text on them: black or white, whichever reads better (always at least 4.5 : 1).
    pub on_accent: Rgb,
    /// The accent as lines and dots on the light ground, at least 3 : 1.
    pub on_light: Rgb,
    /// The same on the dark ground.
    pub on_dark: Rgb,
}

impl Rgb {
    /// Takes `#rrggbb`, and nothing else: the value ends up in a style sheet.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        Some(Self(channel(0)?, channel(2)?, channel(4)?))
    }

    /// WCAG's contrast ratio of two colours, in hundredths: 100 to 2100.
    pub fn contrast(self, other: Self) -> u32 {
        let (one, two) = (self.luminance(), other.luminance());
        let ratio = (one.max(two) + 0.05) / (one.min(two) + 0.05);
        // Between 1 and 21 by construction; rounded down, so that "at least" holds.
        (ratio * 100.0) as u32
    }

    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    fn mixed(self, towards: Self, step: u32) -> Self {
        let mix = |from: u8, to: u8| {
            let sum = u32::from(from) * (STEPS - step) + u32::from(to) * step;
            // A weighted mean of two bytes is a byte.
            (sum / STEPS) as u8
        };
        Self(mix(self.0, towards.0), mix(self.1, towards.1), mix(self.2, towards.2))
    }

    /// This colour, moved towards `towards` only as far as it takes to be seen on `ground`.
    fn seen_on(self, ground: Self, towards: Self) -> Self {
        (0..STEPS)
            .map(|step| self.mixed(towards, step))
            .find(|c| c.contrast(ground) >= GRAPHICS_CONTRAST)
            .unwrap_or(towards)
    }
}

impl Palette {
    /// The palette of a document's accent; of [`DEFAULT`] where there is none or it is no colour.
    pub fn of(accent: Option<&str>) -> Self {
        let accent = accent.and_then(Rgb::parse).unwrap_or(DEFAULT);
        let (black, white) = (Rgb(0, 0, 0), Rgb(0xff, 0xff, 0xff));
        let on_accent = if accent.contrast(white) >= accent.contrast(black) { white } else { black };
        Self {
            accent,
            on_accent,
            on_light: accent.seen_on(GROUND_LIGHT, black),
            on_dark: accent.seen_on(GROUND_DARK, white),
        }
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl fmt::Display for Palette {
    /// As custom properties of a style sheet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":root{{--a:{};--t:{};--l:{};--d:{}}}", self.accent, self.on_accent, self.on_light, self.on_dark)
    }
}
