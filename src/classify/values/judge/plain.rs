//! Values of digits only.
use super::super::check::{
    africa_asia as asia, americas, bank, card, checksum, europe, health, north_europe as north, phone, place,
    securities, united_states as us,
};
use super::super::detector::{Board, Entry};

/// Judges a value of digits by its length.
pub(super) fn judge(digits: &[u8], board: &mut Board) {
    match digits.len() {
        4 => {
            board.count(Entry::PostalShort, !digits.starts_with(b"0"));
        }
        5 => {
            board.count(Entry::PostalDigits, place::is_zip(digits));
        }
        6 => {
            board.count(Entry::PostalSix, !digits.starts_with(b"0"));
        }
        9 => nine(digits, board),
        10 => ten(digits, board),
        11 => eleven(digits, board),
        12 => twelve(digits, board),
        13 => thirteen(digits, board),
        14 => {
            board.count(Entry::Card14, card::is_card(digits));
        }
        15 => {
            board.count(Entry::Card15, card::is_card(digits));
            board.count(Entry::FrNir, europe::is_fr_nir(digits));
        }
        16 => {
            board.count(Entry::Card16, card::is_card(digits));
        }
        17..=19 => {
            board.count(Entry::Card19, card::is_card(digits));
            if digits.len() == 18 {
                board.count(Entry::CnResident, asia::is_cn_resident(digits));
            }
        }
        _ => {}
    }
    if digits.first() == Some(&b'0') && (9..=12).contains(&digits.len()) {
        board.count(Entry::PhoneZero, phone::is_trunk(digits));
    }
    if matches!(digits.len(), 7..=9 | 11 | 12) && !matches!(digits.first(), Some(b'0' | b'1')) {
        board.count(Entry::PhoneBare, true);
    }
    if is_compact_date(digits) {
        board.count_date(checksum::number(digits.get(..4).unwrap_or(digits)));
    }
    if matches!(digits.len(), 8 | 10 | 12 | 17) {
        board.count(Entry::AccountDigits, true);
    }
}

fn nine(digits: &[u8], board: &mut Board) {
    board.count(Entry::Ssn, us::is_ssn(digits));
    board.count(Entry::Itin, us::is_itin(digits));
    board.count(Entry::Aba, bank::is_aba(digits));
    board.count(Entry::CusipDigits, securities::is_cusip(digits));
    board.count(Entry::NlBsn, europe::is_nl_bsn(digits));
    board.count(Entry::PtNif, europe::is_pt_nif(digits));
    board.count(Entry::GrAfm, europe::is_gr_afm(digits));
    board.count(Entry::AuTfn, asia::is_au_tfn(digits));
    // Canada and Israel share the check.
    let luhn = checksum::luhn(digits);
    board.count(Entry::CaSin, luhn && americas::is_ca_sin(digits));
    board.count(Entry::IlId, luhn && asia::is_il_id(digits));
}

fn ten(digits: &[u8], board: &mut Board) {
    board.count(Entry::Npi, health::is_npi(digits));
    board.count(Entry::UkNhs, europe::is_uk_nhs(digits));
    if !digits.starts_with(b"0") {
        board.count(Entry::PhoneNanpDigits, phone::is_nanp(digits));
    }
    board.count(Entry::AuMedicare, asia::is_au_medicare(digits));
    // All of these carry a date in the same places or with day and month swapped.
    board.count(Entry::SePersonnummer, north::is_se_personnummer(digits));
    board.count(Entry::DkCpr, north::is_dk_cpr(digits));
    board.count(Entry::CzRodneCislo, north::is_cz_rodne_cislo(digits));
    board.count(Entry::BgEgn, north::is_bg_egn(digits));
    board.count(Entry::AtSvnr, europe::is_at_svnr(digits));
}

fn eleven(digits: &[u8], board: &mut Board) {
    board.count(Entry::DeSteuerId, europe::is_de_steuer_id(digits));
    board.count(Entry::PlPesel, north::is_pl_pesel(digits));
    board.count(Entry::BrCpf, americas::is_br_cpf(digits));
    board.count(Entry::NoFodselsnummer, north::is_no_fodselsnummer(digits));
    board.count(Entry::TrKimlik, north::is_tr_kimlik(digits));
    board.count(Entry::BeRrn, europe::is_be_rrn(digits));
    if let Some(national) = digits.strip_prefix(b"1") {
        board.count(Entry::PhoneOneDigits, phone::is_nanp(national));
    }
}

fn twelve(digits: &[u8], board: &mut Board) {
    board.count(Entry::InAadhaar, asia::is_in_aadhaar(digits));
    board.count(Entry::JpMyNumber, asia::is_jp_my_number(digits));
    if digits.starts_with(b"19") || digits.starts_with(b"20") {
        board.count(Entry::SePersonnummer, north::is_se_personnummer(digits));
    }
}

fn thirteen(digits: &[u8], board: &mut Board) {
    board.count(Entry::Card13, card::is_card(digits));
    board.count(Entry::ZaId, asia::is_za_id(digits));
    board.count(Entry::RoCnp, north::is_ro_cnp(digits));
    board.count(Entry::KrRrn, asia::is_kr_rrn(digits));
    if digits.starts_with(b"756") {
        board.count(Entry::ChAhv, europe::is_ch_ahv(digits));
    }
}

/// Eight digits that write a date, YYYYMMDD.
pub(super) fn is_compact_date(digits: &[u8]) -> bool {
    let (Some(year), Some(month), Some(day)) = (digits.get(..4), digits.get(4..6), digits.get(6..8)) else {
        return false;
    };
    digits.len() == 8
        && matches!(checksum::number(year), 1900..=2099)
        && checksum::is_month_day(checksum::number(month), checksum::number(day))
}
