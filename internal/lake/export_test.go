package lake

// WithFault makes f be called before and after each step that changes the file system; its error takes the place of
// the step, or of the step's success.
func (o Options) WithFault(f func(step, name string, after bool) error) Options {
	o.fault = f
	return o
}

// ChunkRows is how many rows of a log file are held in memory.
const ChunkRows = chunkRows
