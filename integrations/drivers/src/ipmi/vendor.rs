//! Makers by their enterprise number, as far as they build BMCs.

/// Names the maker.
pub(super) fn name(enterprise: u32) -> Option<&'static str> {
    Some(match enterprise {
        2 => "IBM",
        11 => "HP",
        42 => "Oracle",
        343 => "Intel",
        674 => "Dell",
        2011 => "Huawei",
        2623 => "ASUS",
        5703 => "NVIDIA",
        5771 => "Cisco",
        6653 => "MiTAC",
        7244 => "Quanta",
        10368 => "Fujitsu",
        10876 => "Supermicro",
        15370 => "Gigabyte",
        19046 => "Lenovo",
        20974 => "AMI",
        47196 => "HPE",
        _ => return None,
    })
}
