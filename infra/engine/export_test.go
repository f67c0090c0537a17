package engine

// Alive tells whether there is a process of the id.
func Alive(pid int) bool { return alive(pid) }
