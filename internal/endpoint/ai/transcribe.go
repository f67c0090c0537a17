package ai

import (
	"fmt"
	"strings"
	"time"
)

// transcribe is Amazon Transcribe's operations. Where media and transcripts lie is recorded as an empty string.
func (b *backend) transcribe() map[string]*rule {
	hidden := map[string]string{} // and, as AWS's own sample has it, no start time
	for _, at := range []string{"", "transcriptionJob."} {
		hidden[at+"media.mediaFileUri"], hidden[at+"media.redactedMediaFileUri"] = "", ""
		hidden[at+"transcript.transcriptFileUri"], hidden[at+"transcript.redactedTranscriptFileUri"] = "", ""
		hidden[at+"subtitles.subtitleFileUris"] = ""
	}
	hidden["transcriptionJob.startTime"] = left
	about := "transcription-job/{TranscriptionJobName}"
	return map[string]*rule{
		"StartTranscriptionJob":  {serve: b.startTranscription, redact: hidden},
		"GetTranscriptionJob":    {serve: b.getTranscription, redact: hidden, resource: about},
		"ListTranscriptionJobs":  {serve: b.listTranscriptions},
		"DeleteTranscriptionJob": {serve: b.deleteTranscription, resource: about},
	}
}

// transcriptionTime is how long a job runs.
const transcriptionTime = 5 * time.Second

func (b *backend) startTranscription(c *call) (obj, error) {
	if text(c.in, "LanguageCode") == "" && !truth(c.in, "IdentifyLanguage") && !truth(c.in, "IdentifyMultipleLanguages") {
		return nil, c.invalid("You must specify one of LanguageCode, IdentifyLanguage or IdentifyMultipleLanguages in your request.")
	}
	uri := text(c.in, "Media", "MediaFileUri")
	if !strings.HasPrefix(uri, "s3://") && !strings.HasPrefix(uri, "https://") {
		return nil, c.invalid("The specified S3 URI is not valid.")
	}
	if bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/"); ok && b.Object != nil && strings.HasPrefix(uri, "s3://") {
		if _, found := b.Object(c.Request.Context(), bucket, key); !found {
			return nil, c.invalid("The S3 URI that you provided can't be accessed. Make sure that you have read permission and try your request again.")
		}
	}
	name := text(c.in, "TranscriptionJobName")
	r := &resource{ID: name, Name: name, ARN: c.arn("transcription-job/" + name), Config: c.in, Tags: tagList(list(c.in, "Tags"))}
	created, err := b.create(c, transcriptions, r)
	if err == nil && !created {
		err = fail("ConflictException", 400, "The requested job name already exists. Change the job name and try your request again.")
	}
	if err != nil {
		return nil, err
	}
	out := with(keep(r.Config, "LanguageCode", "MediaFormat", "Media", "IdentifyLanguage", "Settings"), obj{
		"TranscriptionJobName": name, "TranscriptionJobStatus": "IN_PROGRESS", "CreationTime": r.Created, "StartTime": r.Created,
	})
	return obj{"TranscriptionJob": out}, nil
}

func transcriptionOutput(c *call, r *resource) obj {
	out := keep(r.Config, "LanguageCode", "MediaSampleRateHertz", "MediaFormat", "Media", "Settings", "ModelSettings", "JobExecutionSettings", "ContentRedaction",
		"IdentifyLanguage", "IdentifyMultipleLanguages", "LanguageOptions", "Tags", "LanguageIdSettings", "ToxicityDetection")
	out["TranscriptionJobName"], out["CreationTime"], out["StartTime"] = r.Name, r.Created, r.Created
	end := r.Created.Add(transcriptionTime)
	if c.Time.Before(end) {
		out["TranscriptionJobStatus"] = "IN_PROGRESS"
		return out
	}
	if out["LanguageCode"] == nil {
		out["LanguageCode"], out["IdentifiedLanguageScore"] = "en-US", 0.93
	}
	if out["MediaFormat"] == nil {
		uri := text(r.Config, "Media", "MediaFileUri")
		out["MediaFormat"] = map[string]string{"mp4": "mp4", "wav": "wav", "flac": "flac", "ogg": "ogg", "amr": "amr", "webm": "webm", "m4a": "m4a"}[uri[strings.LastIndexByte(uri, '.')+1:]]
		if out["MediaFormat"] == "" {
			out["MediaFormat"] = "mp3"
		}
	}
	transcript := fmt.Sprintf("https://s3.%s.amazonaws.com/aws-transcribe-%s-prod/%s/%s/%s/asrOutput.json", c.Region, c.Region, c.Account, r.Name, uuid(r.ARN, r.Created.String()))
	if bucket := text(r.Config, "OutputBucketName"); bucket != "" {
		key := text(r.Config, "OutputKey")
		if key == "" || strings.HasSuffix(key, "/") {
			key += r.Name + ".json"
		}
		transcript = fmt.Sprintf("https://s3.%s.amazonaws.com/%s/%s", c.Region, bucket, key)
	}
	out["TranscriptionJobStatus"], out["CompletionTime"], out["Transcript"] = "COMPLETED", end, obj{"TranscriptFileUri": transcript}
	if out["MediaSampleRateHertz"] == nil {
		out["MediaSampleRateHertz"] = 44100
	}
	return out
}

func noTranscription() error {
	return fail("NotFoundException", 400, "The requested job couldn't be found. Check the job name and try your request again.")
}

func (b *backend) getTranscription(c *call) (obj, error) {
	r, err := b.get(c, transcriptions, text(c.in, "TranscriptionJobName"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noTranscription()
	}
	return obj{"TranscriptionJob": transcriptionOutput(c, r)}, nil
}

func (b *backend) listTranscriptions(c *call) (obj, error) {
	all, err := b.all(c, transcriptions, "")
	if err != nil {
		return nil, err
	}
	var kept []*resource
	status := text(c.in, "Status")
	for _, r := range all {
		if strings.Contains(r.Name, text(c.in, "JobNameContains")) && (status == "" || text(transcriptionOutput(c, r), "TranscriptionJobStatus") == status) {
			kept = append(kept, r)
		}
	}
	out := paged(c, kept, "TranscriptionJobSummaries", "MaxResults", "NextToken", func(r *resource) obj {
		location := "SERVICE_BUCKET"
		if text(r.Config, "OutputBucketName") != "" {
			location = "CUSTOMER_BUCKET"
		}
		return with(keep(transcriptionOutput(c, r), "TranscriptionJobName", "CreationTime", "StartTime", "CompletionTime", "LanguageCode", "TranscriptionJobStatus",
			"ContentRedaction", "ModelSettings", "IdentifyLanguage", "IdentifyMultipleLanguages", "IdentifiedLanguageScore", "ToxicityDetection"), obj{"OutputLocationType": location})
	})
	if status != "" {
		out["Status"] = status
	}
	return out, nil
}

func (b *backend) deleteTranscription(c *call) (obj, error) {
	found, err := b.remove(c, transcriptions, text(c.in, "TranscriptionJobName"))
	if err == nil && !found {
		err = fail("BadRequestException", 400, "The requested job couldn't be found. Check the job name and try your request again.")
	}
	return nil, err
}
