//! Gives back to the kernel what only the start needed: memory that was freed, and the pages of the program that
//! were run once. Both come back by themselves where they are needed again. Decides nothing.

use std::fs;

use tracing::debug;

/// To be called when the start is over. Costs some milliseconds; what goes wrong is not worth a word to a person.
pub fn give_back() {
    give_back_memory();
    for (start, length) in program(&fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        give_back_pages(start, length);
    }
}

/// The C library keeps what was freed, a megabyte of it after the configuration has been read and checked.
#[allow(unsafe_code, reason = "no safe crate wraps malloc_trim")]
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time from any thread; it touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Reading the configuration, its schema and the command line are megabytes of the program that are not run again.
#[allow(unsafe_code, reason = "madvise(2) is unsafe for any memory that can be written")]
fn give_back_pages(start: usize, length: usize) {
    // SAFETY: the range is a mapping of the program's file that is only read and run (see `program`): its pages are
    // those of the file, so the kernel reads them anew where they are needed, and nothing can be lost.
    let answer =
        unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), length, libc::MADV_DONTNEED) };
    if answer != 0 {
        debug!("the pages of the program stay: {}", std::io::Error::last_os_error());
    }
}

/// Where the code of the program itself lies, by `/proc/self/maps` (proc(5)): start and length of what is mapped
/// from the first file there that can be run and never written. Constants are left alone: what the linker put right
/// at the start looks like them afterwards, and is not in the file.
fn program(maps: &str) -> Vec<(usize, usize)> {
    let mut of_program: Option<&str> = None;
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights), Some(path)) = (words.next(), words.next(), words.nth(3)) else {
            continue;
        };
        // The program is mapped below everything else that has a file.
        if *of_program.get_or_insert(path) != path || rights != "r-xp" {
            continue;
        }
        let Some((start, end)) = range.split_once('-') else { continue };
        if let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
            && start < end
        {
            found.push((start, end - start));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_the_program_is_given_back() {
        let maps = "\
557eaf84b000-557eafa98000 r--p 00000000 fe:00 123 /usr/bin/sensor-bridge
557eafa98000-557eb02c0000 r-xp 0024c000 fe:00 123 /usr/bin/sensor-bridge
557eb02c0000-557eb02ef000 r--p 00a73000 fe:00 123 /usr/bin/sensor-bridge
557eb02ef000-557eb02f5000 rw-p 00aa1000 fe:00 123 /usr/bin/sensor-bridge
557eb1000000-557eb1100000 rw-p 00000000 00:00 0 [heap]
7fcef3059000-7fcef31af000 r-xp 00026000 fe:00 77 /usr/lib/libc.so.6
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
nonsense
";
        assert_eq!(program(maps), [(0x557e_afa9_8000, 0x82_8000)]);
        assert_eq!(program(""), []);
    }

    #[test]
    fn what_is_given_back_comes_back() {
        let own = fs::read_to_string("/proc/self/maps").unwrap();
        assert_eq!(program(&own).len(), 1, "{own}");
        let before: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        give_back();
        let after: Vec<String> = (0..100).map(|number| format!("{number}")).collect();
        assert_eq!(before, after);
    }
}
