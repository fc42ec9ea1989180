//! A prefetch hint to the processor.

use littoral_model::row::Row;

/// Prefetches the row's first cache lines. Only a hint: nothing is read.
#[inline(always)]
pub(crate) fn row(row: &Row) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "there is no safe form of this hint; it cannot fault, whatever the address")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = row.address().cast::<i8>();
        // SAFETY: a prefetch has no effect that a program can observe, and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
        // SAFETY: as above. The key is on the second line.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(64)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
