use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn file(name: &str, size: u64) -> FileEntry {
    FileEntry { name: name.to_owned(), size }
}

fn output(key: &str, files: Vec<FileEntry>) -> Output {
    Output { key: key.to_owned(), kind: Kind::ConfigMap, files }
}

fn outputs(outputs: Vec<Output>) -> Result<Manifest, ManifestError> {
    Manifest::new(0, Outcome::Outputs(outputs))
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let file = ("[-._A-Za-z0-9]{1,20}", 0..20_000_u64).prop_map(|(name, size)| FileEntry { name, size });
    let kind = prop_oneof![Just(Kind::ConfigMap), Just(Kind::Secret)];
    let output = ("[-._A-Za-z0-9]{1,20}", kind, vec(file, 0..6)).prop_map(|(key, kind, files)| Output {
        key,
        kind,
        files,
    });
    prop_oneof![
        vec(output, 0..6).prop_map(Outcome::Outputs),
        any::<String>().prop_map(|text| Outcome::Refused(OneLine::new(&text))),
    ]
}

proptest! {
    #[test]
    fn a_manifest_is_read_back(exit: u8, outcome in any_outcome()) {
        if let Ok(manifest) = Manifest::new(exit, outcome) {
            prop_assert_eq!(Manifest::parse(&manifest.encode()), Ok(manifest));
        }
    }

    /// Lines that are nearly a manifest: what is taken is taken as it would have been written, so two readers
    /// cannot understand one file differently.
    #[test]
    fn what_is_read_is_written_the_same(
        lines in vec("exit [0-9+]{1,3}|output [a-b.]{1,2} (Secret|ConfigMap)|file [0-9]{1,7} [a-b. ]{1,3}|refused [a ]{0,3}|end|", 0..8),
        ended: bool,
    ) {
        let text = format!("bootlace-handover 1\nexit 0\n{}{}", lines.join("\n"), if ended { "\nend\n" } else { "" });
        if let Ok(manifest) = Manifest::parse(text.as_bytes()) {
            prop_assert_eq!(manifest.encode(), text.into_bytes());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(&bytes);
        let _ = Manifest::parse(&[b"bootlace-handover 1\nexit 0\n", &bytes[..], b"\nend\n"].concat());
    }
}

#[test]
fn is_lines_that_a_person_can_read() {
    let manifest = outputs(vec![
        Output {
            kind: Kind::Secret,
            ..output("Certificate", vec![file("tls.crt", 1704), file("tls.key", 227)])
        },
        output("Report", vec![]),
    ])
    .unwrap();
    assert_eq!(
        String::from_utf8(manifest.encode()).unwrap(),
        "bootlace-handover 1\nexit 0\noutput Certificate Secret\nfile 1704 tls.crt\nfile 227 tls.key\n\
         output Report ConfigMap\nend\n"
    );
    let refused = Manifest::new(0, Outcome::Refused(OneLine::new("it is\nmissing"))).unwrap();
    assert_eq!(refused.encode(), b"bootlace-handover 1\nexit 0\nrefused it is missing\nend\n");
}

#[test]
fn refuses_what_no_launcher_writes() {
    for (text, error) in [
        ("", ManifestError::Unterminated),
        ("exit 0\nend\n", ManifestError::Version),
        ("bootlace-handover 2\nexit 0\nend\n", ManifestError::Version),
        ("bootlace-handover 1\nend\n", ManifestError::Line(2)),
        ("bootlace-handover 1\nexit 256\nend\n", ManifestError::Line(2)),
        ("bootlace-handover 1\nexit 0\noutput a Secret\n", ManifestError::Unterminated),
        ("bootlace-handover 1\nexit 1\nrefused it breaks off before its end\n", ManifestError::Unterminated),
        ("bootlace-handover 1\nexit 0\nfile 1 a\nend\n", ManifestError::Line(3)),
        ("bootlace-handover 1\nexit 0\noutput a Pod\nend\n", ManifestError::Line(3)),
        ("bootlace-handover 1\nexit 0\noutput a Secret\nfile -1 a\nend\n", ManifestError::Line(4)),
        ("bootlace-handover 1\nexit 0\noutput a/b Secret\nend\n", ManifestError::Name),
        ("bootlace-handover 1\nexit 0\noutput a Secret\nfile 1 ../a\nend\n", ManifestError::Name),
        ("bootlace-handover 1\nexit 0\nrefused a\noutput a Secret\nend\n", ManifestError::Line(4)),
    ] {
        assert_eq!(Manifest::parse(text.as_bytes()), Err(error), "{text:?}");
    }
    assert_eq!(Manifest::parse(b"\xff"), Err(ManifestError::NotText));
}

#[test]
fn the_limits_are_checked() {
    let many = |count: usize| (0..count).map(|number| file(&number.to_string(), 1)).collect::<Vec<_>>();
    assert!(outputs(vec![output("a", many(100))]).is_ok());
    assert_eq!(outputs(vec![output("a", many(50)), output("b", many(51))]), Err(ManifestError::TooManyFiles));
    let outputs_of = |count: usize| (0..count).map(|number| output(&number.to_string(), vec![])).collect();
    assert!(outputs(outputs_of(100)).is_ok());
    assert_eq!(outputs(outputs_of(101)), Err(ManifestError::TooManyOutputs));
    assert!(outputs(vec![output("a", vec![file("a", MAX_BYTES)])]).is_ok());
    assert_eq!(
        outputs(vec![output("a", vec![file("a", MAX_BYTES)]), output("b", vec![file("a", u64::MAX)])]),
        Err(ManifestError::TooLarge(u64::MAX))
    );
    assert_eq!(
        outputs(vec![output("a", vec![]), output("a", vec![])]),
        Err(ManifestError::DuplicateKey("a".into()))
    );
    assert!(matches!(
        outputs(vec![output("a", vec![file("b", 1), file("b", 1)])]),
        Err(ManifestError::DuplicateName { .. })
    ));
}

#[test]
fn the_largest_manifest_fits_its_limit() {
    let name = |number: usize| format!("{number:0>253}");
    let files: Vec<_> = (0..MAX_FILES).map(|number| file(&name(number), 1)).collect();
    let mut all: Vec<_> = (0..MAX_OUTPUTS).map(|number| output(&name(number), vec![])).collect();
    all[0].files = files;
    let manifest = outputs(all).unwrap();
    assert!(manifest.encode().len() as u64 <= Manifest::MAX_BYTES);
    assert_eq!(Manifest::parse(&manifest.encode()), Ok(manifest));
}

#[test]
fn data_keys_are_those_of_kubernetes() {
    for name in ["a", "tls.crt", ".hidden", "A_b-1", &"x".repeat(253)] {
        assert!(is_data_key(name), "{name}");
    }
    for name in ["", ".", "..", "..data", "a b", "a/b", "ä", "a\n", &"x".repeat(254)] {
        assert!(!is_data_key(name), "{name}");
    }
}
