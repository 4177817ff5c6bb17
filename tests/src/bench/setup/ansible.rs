//! An Ansible playbook that looks at what bootstrap looks at, with what Ansible has to be fast:
//! twenty forks and pipelining.

use std::path::PathBuf;
use std::process::Command;

use super::super::Error;
use crate::lab::Lab;
use crate::process;

const PLAYBOOK: &str = "\
- hosts: all
  tasks:
    - apt: {name: [nginx, python3, python3-venv, sudo, ca-certificates, unattended-upgrades, systemd-timesyncd, nftables], state: present}
    - copy: {dest: /etc/apt/apt.conf.d/52ansible, content: 'APT::Periodic::Unattended-Upgrade \"1\";'}
    - file: {path: /etc/systemd/journald.conf.d, state: directory}
    - copy: {dest: /etc/systemd/journald.conf.d/ansible.conf, content: \"[Journal]\\nSystemMaxUse=500M\\n\"}
    - group: {name: longshore, system: true}
    - group: {name: dev}
    - user: {name: ops1, groups: [sudo, longshore], shell: /bin/bash}
    - file: {path: /home/ops1/.ssh, state: directory, owner: ops1, mode: '0700'}
    - copy: {dest: /home/ops1/.ssh/authorized_keys2, content: 'ssh-ed25519 AAAA ops1', owner: ops1, mode: '0600'}
    - copy: {dest: /etc/sudoers.d/ansible, content: \"ops1 ALL=(ALL:ALL) NOPASSWD: ALL\\n\", mode: '0440', validate: 'visudo -cf %s'}
    - file: {path: '{{ item }}', state: directory}
      loop: [/etc/longshore, /etc/longshore/apps, /srv/longshore]
    - copy: {dest: /etc/longshore/ansible.toml, content: 'environment = \"demo\"'}
    - copy: {dest: /etc/longshore/ansible_signers, content: 'release@example.com ssh-ed25519 AAAA'}
    - stat: {path: /usr/local/bin/longshore-agent, checksum_algorithm: sha256}
    - copy: {dest: /usr/local/lib/systemd/system/ansible-agent.service, content: \"[Unit]\\nDescription=x\\n\"}
    - systemd: {name: longshore-agent, state: started, enabled: true}
    - file: {path: /etc/nginx/sites-enabled/default, state: absent}
    - copy: {dest: /etc/nginx/ansible.conf, content: 'server_tokens off;'}
    - systemd: {name: nginx, state: started, enabled: true}
    - copy: {dest: /etc/ssh/sshd_config.d/90-ansible.conf, content: \"PasswordAuthentication no\\n\", validate: 'sshd -t -f %s'}
    - copy: {dest: /etc/ansible.nft, content: '# rules'}
    - command: nft list tables
      changed_when: false
";

pub(super) struct Ansible {
    folder: PathBuf,
    program: PathBuf,
}

impl Ansible {
    /// Installs it once, beside the hosts' bases.
    pub(super) fn prepare(lab: &Lab) -> Result<Self, Error> {
        let place = lab.place();
        let venv = place.cache().join("ansible");
        let program = venv.join("bin/ansible-playbook");
        if !program.exists() {
            process::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
            let mut pip = Command::new(venv.join("bin/pip"));
            process::run(pip.args(["install", "--quiet", "ansible-core"]))?;
        }
        let folder = place.folder().join("ansible");
        fs_err::create_dir_all(&folder)?;
        fs_err::write(folder.join("site.yml"), PLAYBOOK)?;
        let key = lab.keys.root.file.display();
        let known: Vec<String> = lab
            .hosts
            .iter()
            .map(|host| format!("{} {}\n", host.address, host.host_key.pinned()))
            .collect();
        let known_hosts = folder.join("known_hosts");
        fs_err::write(&known_hosts, known.concat())?;
        let hosts: Vec<String> = lab
            .hosts
            .iter()
            .map(|host| {
                format!(
                    "{} ansible_host={} ansible_user=root ansible_ssh_private_key_file={key} \
                     ansible_ssh_extra_args='-o UserKnownHostsFile={}'\n",
                    host.name,
                    host.address,
                    known_hosts.display()
                )
            })
            .collect();
        fs_err::write(folder.join("hosts.ini"), hosts.concat())?;
        Ok(Self { folder, program })
    }

    /// One run over all hosts.
    pub(super) fn playbook(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder);
        command.args(["-i", "hosts.ini", "-f", "20", "site.yml"]);
        command
            .env("ANSIBLE_PIPELINING", "True")
            .env("ANSIBLE_HOME", &self.folder)
            .env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3")
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
