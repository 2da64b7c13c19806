//! Lists of byte strings as one string: the length of each, as seven bits per byte from the lowest, and its bytes. Two
//! such lists, concatenated, are one list.

/// Appends a string.
pub(super) fn put(list: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length > 0x7F {
        list.push(length as u8 | 0x80);
        length >>= 7;
    }
    list.push(length as u8);
    list.extend_from_slice(bytes);
}

/// Returns the first string and the rest; `None` if the list is truncated or empty.
pub(super) fn take(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0;
    for (index, byte) in list.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return list[index + 1..].split_at_checked(length);
        }
    }
    None
}

/// Returns the strings of a list; `None` if it is damaged.
pub(super) fn strings(mut list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut strings = Vec::new();
    while !list.is_empty() {
        let (string, rest) = take(list)?;
        strings.push(string);
        list = rest;
    }
    Some(strings)
}

/// Returns how many strings of a list, and how many of its bytes, come first: as many as `bytes_max` holds, but at
/// least one if there is one, and at most `count_max`. Returns `None` if that part is damaged.
pub(super) fn prefix(list: &[u8], bytes_max: usize, count_max: u64) -> Option<(u64, usize)> {
    let (mut count, mut rest) = (0, list);
    while !rest.is_empty() && count < count_max {
        let (_, after) = take(rest)?;
        if count > 0 && list.len() - after.len() > bytes_max {
            break;
        }
        count += 1;
        rest = after;
    }
    Some((count, list.len() - rest.len()))
}

/// Returns where the last string of a list begins, with its length; `None` if the list is damaged or empty.
pub(super) fn last_start(list: &[u8]) -> Option<usize> {
    let (mut start, mut rest) = (None, list);
    while !rest.is_empty() {
        start = Some(list.len() - rest.len());
        rest = take(rest)?.1;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<Vec<u8>>, Vec<u8>) {
        let strings: Vec<Vec<u8>> =
            [0, 1, 127, 128, 300, 0, 20_000].iter().map(|&length| vec![length as u8; length]).collect();
        let mut list = Vec::new();
        for string in &strings {
            put(&mut list, string);
        }
        (strings, list)
    }

    #[test]
    fn strings_come_back_in_order() {
        let (expected, list) = sample();
        assert_eq!(strings(&list).expect("a list"), expected);
        assert_eq!(strings(&[]), Some(Vec::new()));
        let start = last_start(&list).expect("a last one");
        assert_eq!(strings(&list[start..]).expect("a list"), expected[6..]);
        assert_eq!(last_start(&[]), None);
    }

    #[test]
    fn a_list_cut_anywhere_but_between_two_strings_is_damaged() {
        let (_, list) = sample();
        let mut whole = Vec::new();
        for end in 0..list.len() {
            if let Some(strings) = strings(&list[..end]) {
                whole.push(strings.len());
            }
        }
        assert_eq!(whole, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(take(&[0xFF; 9]), None, "no length is that long");
    }

    #[test]
    fn a_prefix_holds_one_string_at_least_and_no_more_than_fits() {
        let (strings, list) = sample();
        for bytes_max in [0, 1, 2, 3, 130, 131, 600, 30_000] {
            for count_max in 0..9 {
                let (count, bytes) = prefix(&list, bytes_max, count_max).expect("a list");
                let expected = &strings[..count as usize];
                assert_eq!(super::strings(&list[..bytes]).expect("a list"), expected);
                assert!(count == count_max.min(7) || bytes_max < list.len());
                assert!(bytes <= bytes_max || count <= 1, "{bytes_max} {count_max}");
            }
        }
    }
}
