//! Which of a cluster's slots a key is in.

/// How many slots a cluster has.
pub(super) const SLOTS: u16 = 16_384; // Fixed by Redis.

/// The slot of a key: of what stands between its first braces, where there is something.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in
            [("foo", 12_182), ("{foo}bar", 12_182), ("a{foo}{bar}", 12_182), ("bar", 5_061), ("", 0), ("hello", 866)]
        {
            assert_eq!(slot_of(key), slot, "{key}");
        }
        // Braces with nothing between them are part of the key, and only the first pair counts.
        assert_eq!(slot_of("{}foo"), crc16(b"{}foo") % SLOTS);
        assert_eq!(slot_of("foo{"), crc16(b"foo{") % SLOTS);
        assert_eq!(slot_of("{{foo}}"), crc16(b"{foo") % SLOTS);
    }
}
