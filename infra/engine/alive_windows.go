package engine

// alive tells whether there is a process of the id. Here it is not asked: every lock counts.
func alive(int) bool { return true }
