use proptest::prelude::*;

use super::*;

/// Fields of all records: `None` marks an unquoted empty field.
type Rows = Vec<Vec<Option<String>>>;

fn rows_of(reader: impl Read, delimiter: u8) -> Result<Rows> {
    let mut records = Records::new(reader, "people.csv", delimiter, b'"');
    let mut rows = Vec::new();
    while let Some(record) = records.next()? {
        let fields = (0..record.len()).map(|index| record.field(index));
        rows.push(fields.map(|f| (f.quoted || f.len() > 0).then(|| f.text().to_owned())).collect());
    }
    Ok(rows)
}

fn rows(text: &str) -> Rows {
    rows_of(text.as_bytes(), b',').unwrap()
}

fn row(fields: &[&str]) -> Vec<Option<String>> {
    fields.iter().map(|field| (!field.is_empty()).then(|| (*field).to_owned())).collect()
}

/// Gives its bytes one at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = usize::from(!self.0.is_empty() && !buffer.is_empty());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn trap_null_is_not_the_empty_text() {
    assert_eq!(rows("a,,\"\"\n"), [[Some("a".to_owned()), None, Some(String::new())]]);
}

#[test]
fn quotes_newlines_and_delimiters_inside_quotes_are_text() {
    let expected = [row(&["a,b", "say \"hi\"", "two\r\nlines", "x"])];
    assert_eq!(rows("\"a,b\",\"say \"\"hi\"\"\",\"two\r\nlines\",x\r\n"), expected);
}

#[test]
fn the_last_line_needs_no_line_end() {
    assert_eq!(rows("a,b\n1,2"), [row(&["a", "b"]), row(&["1", "2"])]);
    assert_eq!(rows("a,b\n1,"), [row(&["a", "b"]), row(&["1", ""])]);
    assert_eq!(rows("a\n\"1\""), [row(&["a"]), row(&["1"])]);
    assert_eq!(rows(""), Rows::new());
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_name() {
    assert_eq!(rows("\u{feff}id,name\r\n"), [row(&["id", "name"])]);
}

#[test]
fn other_encodings_are_refused_with_their_line() {
    let utf16: Vec<u8> = "id\n1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark = [&[0xFF, 0xFE][..], &utf16].concat();
    for bytes in [utf16, with_mark] {
        assert!(rows_of(&bytes[..], b',').unwrap_err().to_string().contains("UTF-16"));
    }
    let latin1 = b"id,name\n1,\"a\nb\"\n2,Ren\xE9\n";
    assert!(rows_of(&latin1[..], b',').unwrap_err().to_string().contains("people.csv, line 4"));
}

#[test]
fn malformed_text_is_refused_with_its_physical_line() {
    let cases = [
        ("id,n\n1,\"a\n\nb\"\n2,x\"y\n", "line 5", "not quoted"),
        ("id,n\n1,\"a\nb\" \n", "line 3", "closing quote"),
        ("id,n\n1,a\n2,\"never\nclosed\n", "line 3", "never closed"),
        ("id,n\r1,a\r", "line 1", "carriage return"),
        ("id,n\n1,a\r", "line 2", "carriage return"),
    ];
    for (text, line, what) in cases {
        let error = rows_of(text.as_bytes(), b',').unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Data);
        let shown = error.to_string();
        assert!(shown.contains(line) && shown.contains(what), "{text:?}: {shown}");
    }
}

#[test]
fn a_record_larger_than_the_buffer_is_read_whole() {
    let long = "x".repeat(BUFFER_BYTES * 3);
    assert_eq!(rows(&format!("a,\"{long}\"\nb,c\n")), [row(&["a", &long]), row(&["b", "c"])]);
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9é\u{1F600}\u{feff},;\"\n\r ]{0,12}", "[ -~]{0,40}", Just(String::new())]
}

proptest! {
    #[test]
    fn what_another_writer_wrote_reads_back(
        table in (1..6_usize).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(field(), width), 1..20)),
        delimiter in prop::sample::select(b",;\t|".to_vec()),
        always in any::<bool>(),
        crlf in any::<bool>(),
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter).quote_style(style).terminator(terminator).from_writer(Vec::new());
        let names: Vec<String> = (0..table[0].len()).map(|index| format!("column {index}")).collect();
        writer.write_record(&names).unwrap();
        for fields in &table {
            writer.write_record(fields).unwrap();
        }
        let bytes = writer.into_inner().unwrap();

        let single = table[0].len() == 1;
        let expected: Rows = table.into_iter()
            .map(|fields| fields.into_iter().map(|f| (always || single || !f.is_empty()).then_some(f)).collect())
            .collect();
        let whole = rows_of(&bytes[..], delimiter).unwrap();
        prop_assert_eq!(&whole[1..], &expected[..]);
        prop_assert_eq!(rows_of(Drip(&bytes), delimiter).unwrap(), whole);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(
        prop_oneof![3 => prop::sample::select(b"\",\n\r\0a1\xEF\xBB\xBF".to_vec()), 1 => any::<u8>()], 0..200,
    )) {
        let whole = rows_of(&bytes[..], b',');
        prop_assert_eq!(rows_of(Drip(&bytes), b','), whole);
    }
}
