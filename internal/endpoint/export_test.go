package endpoint

import "github.com/aitrail/aitrail/internal/endpoint/awsapi"

// WrapRecorder puts a recorder in front of the server's own.
func (s *Server) WrapRecorder(wrap func(Recorder) Recorder) {
	s.handler.recorder = wrap(s.handler.recorder)
}

// AddService has the server answer for one more service.
func (s *Server) AddService(a awsapi.Service) {
	for _, name := range a.SigningNames() {
		s.handler.services[name] = a
	}
}
