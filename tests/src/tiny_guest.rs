//! Guests of a few instructions, which run on any KVM.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

/// A guest that says `hello` on the serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TinyGuest {
    /// Then it does as it is told on the serial port: `p` has it panic, and anything else is
    /// echoed. It powers off when its power button is pressed.
    Attentive,
    /// Then it does nothing any more.
    Deaf,
}

/// How long a guest has until it says `hello`.
const LIMIT: Duration = Duration::from_secs(30);

/// Where it lies in memory, and is entered.
const ENTRY: u64 = 0x10_0000;
/// Where its instructions lie in the file.
const OFFSET: usize = 0x1000;

/// `cli; hlt; jmp $-1`.
const HALT: &[u8] = &[0xfa, 0xf4, 0xeb, 0xfd];

/// Reads the power events and the serial port in turn.
const ATTEND: &[u8] = &[
    0x66, 0xba, 0x04, 0x06, // attend: mov dx, 0x604
    0xed, // in eax, dx
    0xa8, 0x01, // test al, 1
    0x75, 0x1d, // jnz power_off
    0x66, 0xba, 0xfd, 0x03, // mov dx, 0x3fd
    0xec, // in al, dx
    0xa8, 0x01, // test al, 1
    0x74, 0xee, // jz attend
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xec, // in al, dx
    0x3c, b'p', // cmp al, 'p'
    0x74, 0x03, // je panic
    0xee, // out dx, al
    0xeb, 0xe2, // jmp attend
    0x66, 0xba, 0x05, 0x05, // panic: mov dx, 0x505
    0xb0, 0x01, // mov al, 1
    0xee, // out dx, al
    0xf4, // hlt
    0x66, 0xba, 0x00, 0x06, // power_off: mov dx, 0x600
    0xb0, 0x34, // mov al, 0x34 (sleep state S5)
    0xee, // out dx, al
    0xf4, // hlt
];

impl TinyGuest {
    /// Writes it as a kernel into `folder`.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn write_kernel(self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join(format!("{self:?}.elf"));
        fs::write(&path, elf(&self.code()))?;
        Ok(path)
    }

    /// Waits until the guest of the machine with this folder has said `hello`, and nothing else.
    ///
    /// # Errors
    ///
    /// It has not within half a minute.
    pub fn await_hello(machine: &Path) -> anyhow::Result<()> {
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&changes, machine, inotify::WatchFlags::MODIFY)?;
        let timeout = Timespec::try_from(LIMIT)?;
        let console = machine.join("console.log");
        while !fs::read_to_string(&console).is_ok_and(|text| text == "hello\n") {
            let changed = poll(&mut [PollFd::new(&changes, PollFlags::IN)], Some(&timeout))?;
            ensure!(changed == 1, "the guest said nothing within {LIMIT:?}");
            rustix::io::read(&changes, &mut [0; 4096])?;
        }
        Ok(())
    }

    fn code(self) -> Vec<u8> {
        // mov dx, 0x3f8, and for each character: mov al, it; out dx, al
        let mut code = vec![0x66, 0xba, 0xf8, 0x03];
        code.extend(b"hello\n".iter().flat_map(|byte| [0xb0, *byte, 0xee]));
        code.extend_from_slice(match self {
            Self::Attentive => ATTEND,
            Self::Deaf => HALT,
        });
        code
    }
}

/// A 64-bit ELF file of one segment.
fn elf(code: &[u8]) -> Vec<u8> {
    let mut elf = vec![0; OFFSET];
    elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    // Type, machine; entry; offset, size and count of program headers.
    elf[16..20].copy_from_slice(&[2, 0, 62, 0]);
    elf[24..32].copy_from_slice(&ENTRY.to_le_bytes());
    elf[32] = 64;
    elf[54] = 56;
    elf[56] = 1;
    // The segment: kind, offset, address, sizes in file and memory.
    elf[64] = 1;
    let size = (code.len() as u64).to_le_bytes();
    for (at, value) in
        [(72, (OFFSET as u64).to_le_bytes()), (88, ENTRY.to_le_bytes()), (96, size), (104, size)]
    {
        elf[at..at + 8].copy_from_slice(&value);
    }
    elf.extend_from_slice(code);
    elf
}
