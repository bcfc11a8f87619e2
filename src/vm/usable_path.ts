/**
 * PATH of the programs that are started for a VM, and of the VM itself.
 *
 * @module
 */

/**
 * Beginning of a script for the shell: a PATH in which programs are found. Where there is
 * no Node.js, Deno puts a substitute of its own first in PATH; that is all of
 * PATH then if the environment had none.
 */
export const USABLE_PATH = `
case \${PATH%%:*} in
  */node_compat_bin)
    case $PATH in *:*) PATH=\${PATH#*:} ;; *) PATH= ;; esac ;;
esac
: "\${PATH:=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"
`;
