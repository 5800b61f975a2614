//! A command's environment.

use std::ffi::CString;

use agent_protocol::message::Exec;

use super::LaunchError;

/// The `PATH` of a command that sets none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `exec` sets, after the basics that it leaves out. The last of several entries of one name
/// counts.
pub(super) fn build(exec: &Exec, home: &str) -> Result<Vec<CString>, LaunchError> {
    let mut environment: Vec<Vec<u8>> = vec![DEFAULT_PATH.into(), format!("HOME={home}").into()];
    if exec.terminal.is_some() {
        environment.push(b"TERM=xterm".to_vec());
    }
    for variable in &exec.env {
        let name =
            name_of(variable).ok_or_else(|| LaunchError::BadVariable(super::lossy(variable)))?;
        match environment.iter_mut().find(|set| name_of(set) == Some(name)) {
            Some(set) => set.clone_from(variable),
            None => environment.push(variable.clone()),
        }
    }
    let strings = environment.into_iter().map(CString::new);
    strings.collect::<Result<_, _>>().map_err(|_| LaunchError::Nul)
}

fn name_of(variable: &[u8]) -> Option<&[u8]> {
    let end = variable.iter().position(|byte| *byte == b'=').filter(|end| *end > 0)?;
    variable.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(env: &[&str]) -> Vec<String> {
        let env = env.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        let exec = Exec { env, ..Exec::default() };
        let strings = build(&exec, "/home").unwrap();
        strings.into_iter().map(|string| string.into_string().unwrap()).collect()
    }

    #[test]
    fn the_basics_are_there_unless_set() {
        assert_eq!(built(&["A=1"]), [DEFAULT_PATH, "HOME=/home", "A=1"]);
        assert_eq!(built(&["PATH=/x", "HOME="]), ["PATH=/x", "HOME="]);
    }

    #[test]
    fn the_last_of_one_name_counts() {
        assert_eq!(built(&["A=1", "B=2", "A=3"])[2..], ["A=3", "B=2"]);
    }

    #[test]
    fn an_entry_without_a_name_is_refused() {
        let exec = Exec { env: vec![b"=x".to_vec()], ..Exec::default() };
        assert!(matches!(build(&exec, "/"), Err(LaunchError::BadVariable(_))));
    }
}
