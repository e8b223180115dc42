//! Switched PDUs over SNMP.
